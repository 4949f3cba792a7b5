"""How long a three-node cluster takes to come up, and what it holds in memory at rest.

    sudo .venv/bin/python bench/footprint.py [--nodes 3] [--runs 3] [--rest 10]

Each run brings up a cluster of its own (``seamark up``, a fresh data directory, namespaces of its own), looks at it
from outside and takes it down. Times count from the start of the command: the API server answers ``/readyz``; every
Node is Ready; the DNS answers a query for ``kubernetes.default`` sent to its ClusterIP from the first node. Memory is
what the kernel says of each process ``--rest`` seconds later: RSS, and PSS, which shares out what several processes
share. The table shows the best time and the median memory of the runs: a busy machine can only add to a time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode

from seamark.linux import netns

PATIENCE = 60.0
NAME = "kubernetes.default.svc.cluster.local."
CLUSTER_DNS = "10.96.0.10"
MAIN, DNS_PODS, SUPERVISORS = "main process", "DNS pods", "supervisors of the pods"


class Cluster:
    """A cluster under ``root``, seen from outside."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port

    def get(self, path: str) -> bytes | None:
        """The body of a 200, None for anything else."""
        try:
            context = ssl.create_default_context(cafile=str(self.root / "pki/ca.crt"))
            token = (self.root / "pki/admin.token").read_text().strip()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=2, context=context)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
        except (OSError, http.client.HTTPException):
            return None
        return body if answer.status == 200 else None

    def is_api_ready(self) -> bool:
        return self.get("/readyz") is not None

    def are_nodes_ready(self, wanted: int) -> bool:
        nodes = json.loads(self.get("/api/v1/nodes") or b"{}").get("items", [])
        conditions = [c for node in nodes for c in node.get("status", {}).get("conditions", [])]
        return [(c["type"], c["status"]) for c in conditions].count(("Ready", "True")) == wanted

    def is_dns_answering(self) -> bool:
        query = dns.message.make_query(NAME, "A")
        with netns.open_socket(self.root / "run/netns/master1", socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.05)
            try:
                client.sendto(query.to_wire(), (CLUSTER_DNS, 53))
                answer = dns.message.from_wire(client.recv(4096))
            except OSError:  # nobody there yet: no answer in time, or refused
                return False
        return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer)

    def processes(self) -> Iterator[tuple[str, int]]:
        """Each process of the cluster with the part it belongs to."""
        yield MAIN, int((self.root / "lock").read_text())
        for path in self.root.glob("nodes/*/pods/*/sandbox/state.json"):
            state = json.loads(path.read_text())
            yield SUPERVISORS, state["pid"]
            for container in state["containers"]:
                if container["status"] == "running":
                    yield DNS_PODS, container["pid"]


def read_memory(pid: int) -> tuple[int, int]:
    """RSS and PSS in kB (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return found["Rss"], found["Pss"]


def read_cpu_seconds(pid: int) -> float:
    """What the process has used so far, with the helpers it waited for (proc_pid_stat(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def wait_until(check: Callable[[], bool], began: float) -> float:
    """Seconds from ``began`` until ``check`` holds."""
    while not check():
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"footprint: not ready after {PATIENCE:.0f} s")
        time.sleep(0.002)
    return time.monotonic() - began


@contextmanager
def running(root: Path, port: int, nodes: int) -> Iterator[tuple[Cluster, float]]:
    """A cluster that is coming up, and when that began; it is taken down at the end."""
    seamark = [sys.executable, "-m", "seamark"]
    began = time.monotonic()
    command = [*seamark, "up", "--nodes", str(nodes), "--data-dir", str(root), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield Cluster(root, port), began
    finally:
        subprocess.run([*seamark, "down", "--purge", "--data-dir", str(root)], stdout=subprocess.DEVNULL, check=True)
        process.wait(PATIENCE)


def measure(nodes: int, rest: float) -> dict[str, float]:
    """Seconds under their names, kB under ``PART rss`` and ``PART pss``."""
    found: dict[str, float] = defaultdict(float)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="seamark-footprint-") as directory:
        with running(Path(directory, "cluster"), port, nodes) as (cluster, began):
            found["api"] = wait_until(cluster.is_api_ready, began)
            found["nodes"] = wait_until(lambda: cluster.are_nodes_ready(nodes), began)
            found["dns"] = wait_until(cluster.is_dns_answering, began)
            found["cpu"] = read_cpu_seconds(int((cluster.root / "lock").read_text()))
            time.sleep(rest)
            for part, pid in cluster.processes():
                rss, pss = read_memory(pid)
                found[f"{part} rss"] += rss
                found[f"{part} pss"] += pss
                found[f"{part} count"] += 1
            ending = time.monotonic()
        found["down"] = time.monotonic() - ending
    return found


def print_table(found: dict[str, float], nodes: int) -> None:
    print(f"\n| `seamark up --nodes {nodes}` | seconds |\n|---|---|")
    for name, what in (
        ("api", "API server ready"),
        ("nodes", "all nodes Ready"),
        ("dns", "DNS answering"),
        ("cpu", "CPU time of the main process until then"),
        ("down", "`seamark down`"),
    ):
        print(f"| {what} | {found[name]:.2f} |")
    print("\n| memory at rest | RSS, MB | PSS, MB |\n|---|---|---|")
    for part in (MAIN, DNS_PODS, SUPERVISORS):
        label = part if part == MAIN else f"{int(found[f'{part} count'])} {part}"
        print(f"| {label} | {found[f'{part} rss'] / 1024:.0f} | {found[f'{part} pss'] / 1024:.0f} |")
    total = [sum(value for name, value in found.items() if name.endswith(kind)) for kind in (" rss", " pss")]
    print(f"| everything | {total[0] / 1024:.0f} | {total[1] / 1024:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rest", type=float, default=10.0, help="seconds between the first answer and the measuring")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("footprint: nodes need root")
    runs = []
    for number in range(options.runs):
        runs.append(measure(options.nodes, options.rest))
        print(f"run {number + 1}: " + ", ".join(f"{k} {v:.2f} s" for k, v in runs[-1].items() if " " not in k))
    best = {name: min(run[name] for run in runs) for name in runs[0] if " " not in name}
    usual = {name: statistics.median(run[name] for run in runs) for name in runs[0] if " " in name}
    print_table(best | usual, options.nodes)


if __name__ == "__main__":
    main()
