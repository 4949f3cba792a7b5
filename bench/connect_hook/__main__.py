"""What the connect hook gives: connections straight to an endpoint, through the rules, and by the hook.

    sudo .venv/bin/python -m bench.connect_hook [--services 10000] [--rounds 15]

Two pods on a node, joined as the agent joins them; every Service has ten endpoints, all of them on the server's pod.
The three ways are measured in turn, so that what disturbs one disturbs all; a ratio is the median of the ratios to
"direct" of the same round. CPU is that of both ends. "direct, no rules" is measured before there are any, so without
connection tracking. Makes two network namespaces and a cgroup, and removes them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.connect_hook.worker import ACCEPT, ECHO, SINK

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig, PortKey, PortRules, compile_service
from seamark.linux import netns
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.proxy.connecthook import HookTable
from seamark.proxy.table import KernelTable
from seamark.testing.cgroup import OwnCgroup, make_cgroup
from seamark.testing.networld import World, make_world

NODE, CLIENT, SERVER = "172.30.0.11", "10.244.1.9", "10.244.1.2"
CONFIG = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",))
ENDPOINT_RANGE = "10.200.0.0/15"
ENDPOINTS = 10

Rows = dict[str, dict[str, list[dict[str, float]]]]
"""What is measured -> way -> one answer a round."""


def address(number: int) -> str:
    place = number + 256
    return f"10.{96 + (place >> 16)}.{place >> 8 & 255}.{place & 255}"


def rules(number: int, port: int, *, turn: int = 0) -> PortRules:
    meta = {"name": f"s{number}", "namespace": "bench"}
    spec = {"clusterIP": address(number), "ports": [{"name": "p", "port": 80}]}
    items = [{"addresses": [f"10.{200 + turn % 2}.{number % 250}.{n + 1}"]} for n in range(ENDPOINTS)]
    ports = [{"name": "p", "port": port, "protocol": "TCP"}]
    piece = {"metadata": meta, "addressType": "IPv4", "ports": ports, "endpoints": items}
    service = codec.convert({"metadata": meta, "spec": spec}, Service)
    return compile_service(service, [codec.convert(piece, EndpointSlice)], CONFIG)[0]


class Ends:
    """Clients outside and inside the cgroup, and the servers by port; killed with the stack."""

    def __init__(self, world: World, cgroup: OwnCgroup, stack: ExitStack) -> None:
        self._stack = stack
        self.outside = self._start(world.pin_of(CLIENT))
        with cgroup.entered():
            self.inside = self._start(world.pin_of(CLIENT))
        self.servers = {port: self._start(world.pin_of(SERVER), "serve", str(port)) for port in (ACCEPT, ECHO, SINK)}
        for server in self.servers.values():
            assert server.stdout is not None
            server.stdout.readline()

    def _start(self, pin: Path, *argv: str) -> subprocess.Popen[str]:
        command = netns.command(pin, sys.executable, "-m", "bench.connect_hook.worker", *argv)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def ask(self, client: subprocess.Popen[str], question: dict[str, Any], port: int) -> dict[str, float]:
        """Value and CPU a unit."""
        assert client.stdin is not None
        assert client.stdout is not None
        before = cpu_seconds(self.servers[port].pid)
        client.stdin.write(json.dumps(question) + "\n")
        client.stdin.flush()
        found: dict[str, float] = json.loads(client.stdout.readline())
        cpu = found["cpu"] + cpu_seconds(self.servers[port].pid) - before
        return {"value": found["value"], "cpu": cpu / found["units"]}


def cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(ends: Ends, rounds: int, services: int, found: Rows, *, bare: bool) -> None:
    """``bare``: there are no rules yet. By Service: s1 accepts, the last two are of the other servers."""
    every = [(address(number), 80) for number in range(services)]
    cases = (
        ("connect, one Service", ACCEPT, every[1:2], lambda places: {"connect": places, "count": 300}),
        ("connect, any Service", ACCEPT, every, lambda places: {"connect": places, "count": 300}),
        ("round trip", ECHO, [(address(services), 80)], lambda places: {"echo": places[0], "count": 2000}),
        ("one stream", SINK, [(address(services + 1), 80)], lambda places: {"stream": places[0], "seconds": 0.3}),
    )
    for _ in range(rounds):
        for what, port, by_service, question in cases:
            straight = question([("10.200.1.1", port)])
            ways = {"direct, no rules": (ends.outside, straight)}
            if not bare:
                through = question(by_service)
                ways = {
                    "direct": (ends.outside, straight),
                    "rules": (ends.outside, through),
                    "hook": (ends.inside, through),
                }
            for way, (client, asked) in ways.items():
                found.setdefault(what, {}).setdefault(way, []).append(ends.ask(client, asked, port))


@contextmanager
def timed(found: dict[str, float], what: str, times: int = 1) -> Iterator[None]:
    began = time.process_time()
    yield
    found[what] = (time.process_time() - began) * 1000 / times


async def run(services: int, rounds: int, world: World, cgroup: OwnCgroup) -> tuple[Rows, dict[str, float]]:
    found: Rows = {}
    costs: dict[str, float] = {}
    ports: dict[PortKey, PortRules | None] = {}
    for number, port in (*((n, ACCEPT) for n in range(services)), (services, ECHO), (services + 1, SINK)):
        made = rules(number, port)
        ports[made.key] = made
    table, hook = KernelTable(CONFIG, Layout(), world.node_pin), HookTable(CONFIG, "IPv4", world.node_pin, cgroup.path)
    with ExitStack() as stack:
        ends = Ends(world, cgroup, stack)
        measure(ends, rounds, services, found, bare=True)
        stack.callback(table.close)
        stack.callback(hook.close)
        whole = {key: port for key, port in ports.items() if port is not None}
        with timed(costs, "load everything into the rules"):
            await table.start(whole)
        with timed(costs, "load everything into the hook"):
            await hook.start(whole)
        changes = [rules(number, ACCEPT, turn=1) for number in range(min(services, 500))]
        for what, kind in (("one change of the rules", table), ("one change of the hook", hook)):
            with timed(costs, what, len(changes)):
                for change in changes:
                    await kind.apply({change.key: change})
        measure(ends, rounds, services, found, bare=False)
    return found, costs


def render(found: Rows, costs: dict[str, float]) -> Iterator[str]:
    yield f"{'what':<22} {'way':<17} {'median':>10} {'ratio':>6} {'CPU of both ends':>17}"
    for what, ways in found.items():
        unit, scale = ("Gbit/s", 1.0) if what == "one stream" else ("us", 1e6)
        for way, answers in ways.items():
            values = [answer["value"] for answer in answers]
            ratios = [value / base["value"] for value, base in zip(values, ways["direct"], strict=True)]
            cpu = statistics.median(answer["cpu"] for answer in answers) * scale
            per = "s/GB" if unit == "Gbit/s" else "us"
            middle = f"{statistics.median(values):.1f} {unit}"
            yield f"{what:<22} {way:<17} {middle:>11} {statistics.median(ratios):>6.2f} {cpu:>12.2f} {per}"
    for what, cost in costs.items():
        yield f"{what:<40} {cost:>10.3f} CPU ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        make_world(Path(directory) / "netns", node=NODE, pods=(CLIENT, SERVER)) as world,
        make_cgroup("seamark-bench") as cgroup,
    ):
        route_endpoints(world)
        found, costs = asyncio.run(run(given.services, given.rounds, world, cgroup))
    print(f"{given.services} Services, {given.rounds} rounds")
    print("\n".join(render(found, costs)))


def route_endpoints(world: World) -> None:
    """The server has every address an endpoint may have."""
    link = next(name for name in ("pod0", "pod1") if SERVER in world.run_on_node("ip", "route", "show", "dev", name))
    world.run_on_node("ip", "route", "add", ENDPOINT_RANGE, "via", SERVER, "dev", link, "onlink")
    local = netns.command(world.pin_of(SERVER), "ip", "route", "add", "local", ENDPOINT_RANGE, "dev", "lo")
    subprocess.run(local, check=True)


if __name__ == "__main__":
    main()
