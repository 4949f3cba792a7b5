"""``make bench-dns``: what a query costs Seamark's DNS and CoreDNS, in CPU time, over the same registry.

    .venv/bin/python -m bench.dns_beside [--rounds 5] [--services 1000] [--seconds 3] [--only KIND…]

Both servers run on loopback with kubeadm's Corefile; dnsperf asks one after the other, round by round, so that what
else the machine does meets both. CPU is the server's own, user and system, over the queries that were answered; the
figure is the median of the rounds. Upstream is a process that answers everything at once and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from conformance.cluster import running_cluster
from conformance.dns.servers import VERSION, build_coredns, free_port

from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig
from seamark.machinery.gvr import ENDPOINTSLICES, SERVICES

TICK = os.sysconf("SC_CLK_TCK")
COREFILE = """.:{port} {{
    errors
    health 127.0.0.1:{health}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward . 127.0.0.1:{upstream} {{
        max_concurrent 1000
    }}
    cache 30
    loadbalance
}}
"""
CLUSTER = "cluster.local"
Questions = Callable[[int], Iterator[str]]


def cluster_names(services: int) -> Iterator[str]:
    """What pods ask for most: Services by their whole names, both families, headless ones too."""
    for number in range(services):
        yield f"web-{number}.default.svc.{CLUSTER} {'AAAA' if number % 3 == 0 else 'A'}"
    for number in range(services // 10):
        yield f"heads-{number}.default.svc.{CLUSTER} A"


def search_misses(services: int) -> Iterator[str]:
    """What a search list makes of names outside: NXDOMAIN, three times for each."""
    for number in range(services):
        for domain in (f"default.svc.{CLUSTER}", f"svc.{CLUSTER}", CLUSTER):
            yield f"www-{number}.example.com.{domain} A"


def cached_names(services: int) -> Iterator[str]:
    """Names outside that were asked for before."""
    for number in range(200):
        yield f"www-{number}.example.com A"


def forwarded_names(services: int) -> Iterator[str]:
    """Names outside that nobody asked for before; more than a round can ask."""
    start = time.monotonic_ns()
    for number in range(400_000):
        yield f"n{start}-{number}.example.com A"


KINDS: dict[str, Questions] = {
    "cluster names": cluster_names,
    "search misses (NXDOMAIN)": search_misses,
    "cached names": cached_names,
    "forwarded names": forwarded_names,
}


class Round(NamedTuple):
    """``micros`` of CPU a query, and queries a second."""

    micros: float
    rate: float


class Server(NamedTuple):
    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu(self) -> float:
        """Seconds, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def measure(self, questions: Path, seconds: float) -> Round:
        before = self.cpu()
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(self.port), "-d", str(questions), "-l", f"{seconds:g}"]
        told = subprocess.run([*command, "-q", "50", "-c", "10"], check=True, capture_output=True, text=True).stdout
        found = re.search(r"Queries completed:\s+(\d+)", told)
        if found is None or int(found[1]) == 0:
            sys.exit(f"bench-dns: {self.name} answered nothing:\n{told}")
        return Round((self.cpu() - before) * 1e6 / int(found[1]), int(found[1]) / seconds)


def answer_everything(port: int) -> None:
    """An upstream: one A record for whatever is asked, from the question's own octets."""
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01"
    with socket.socket(type=socket.SOCK_DGRAM) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        found.bind(("127.0.0.1", port))
        while True:
            packet, client = found.recvfrom(4096)
            end = packet.index(b"\0", 12) + 5
            found.sendto(packet[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + packet[12:end] + record, client)


async def fill(kubeconfig: Path, services: int) -> None:
    client = Client(load_kubeconfig(kubeconfig).transport(), agent="bench-dns")
    ports = [{"name": "http", "port": 80}]
    try:
        for number in range(services):
            meta = {"name": f"web-{number}", "namespace": "default"}
            await client.create(SERVICES, {"metadata": meta, "spec": {"ports": ports}})
        for number in range(services // 10):
            await _headless(client, f"heads-{number}", number)
    finally:
        await client.close()


async def _headless(client: Client, name: str, number: int) -> None:
    spec = {"ports": [{"name": "http", "port": 80}], "clusterIP": "None"}
    await client.create(SERVICES, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
    labels = {"kubernetes.io/service-name": name}
    endpoints = [
        {"addresses": [f"10.244.{number % 250}.{each}"], "conditions": {"ready": True}} for each in range(1, 4)
    ]
    body = {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    await client.create(ENDPOINTSLICES, {"metadata": {"name": name, "namespace": "default", "labels": labels}, **body})


@contextmanager
def serving(name: str, command: list[str], directory: Path, *, kubeconfig: Path, upstream: int) -> Iterator[Server]:
    port = free_port()
    file, log = directory / f"Corefile.{port}", directory / f"log.{port}"
    places = {"port": port, "health": free_port(), "metrics": free_port()}
    file.write_text(COREFILE.format(kubeconfig=kubeconfig, upstream=upstream, **places))
    with log.open("w") as out:
        process = subprocess.Popen([*command, "-conf", str(file)], stdout=out, stderr=subprocess.STDOUT)
    try:
        time.sleep(4)  # both have their lists by then
        yield Server(name, process, port)
    finally:
        process.terminate()
        process.wait(15)


def measure(servers: list[Server], kind: Questions, options: argparse.Namespace, directory: Path) -> dict[str, Round]:
    """Medians by server; the first round warms up and does not count."""
    found: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(options.rounds + 1):
        for server in servers if number % 2 else reversed(servers):
            questions = directory / "questions"
            questions.write_text("\n".join(kind(options.services)) + "\n")
            measured = server.measure(questions, options.seconds)
            found[server.name] += [measured] if number else []
    return {name: Round(*map(statistics.median, zip(*rounds, strict=True))) for name, rounds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.dns_beside", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round, kind and server")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--coredns", type=Path, help="a binary that is there already")
    options = parser.parse_args()
    if shutil.which("dnsperf") is None:
        sys.exit("bench-dns: dnsperf is needed (Debian: apt-get install dnsperf)")
    theirs = options.coredns or build_coredns()
    upstream = free_port()
    answering = multiprocessing.get_context("fork").Process(target=answer_everything, args=(upstream,), daemon=True)
    answering.start()
    with ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="seamark-bench-")))
        kubeconfig = held.enter_context(running_cluster("--nodes", "0")).kubeconfig
        asyncio.run(fill(kubeconfig, options.services))
        commands = {"Seamark": [sys.executable, "-m", "seamark", "dns"], f"CoreDNS {VERSION}": [str(theirs)]}
        servers = [
            held.enter_context(serving(name, command, directory, kubeconfig=kubeconfig, upstream=upstream))
            for name, command in commands.items()
        ]
        print("| CPU a query, µs (queries a second) | " + " | ".join(commands) + " | ratio |")
        print("|---|---|---|---|")
        for kind in options.only:
            ours, peer = measure(servers, KINDS[kind], options, directory).values()
            cells = " | ".join(f"{each.micros:.1f} ({each.rate:.0f})" for each in (ours, peer))
            print(f"| {kind} | {cells} | {ours.micros / peer.micros:.2f} |", flush=True)
    answering.terminate()


if __name__ == "__main__":
    main()
