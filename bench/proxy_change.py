"""What one change of one Service costs: compile, diff, one netlink batch, in a network namespace of its own.

    sudo .venv/bin/python bench/proxy_change.py [--services 1000 10000] [--endpoints 10] [--changes 500]

Prints CPU and wall milliseconds (a change = all endpoints of a Service replaced, the whole way from objects to the
kernel), the cold load and a restart over existing rules. No connection is made; nothing outside the namespace is
touched.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seamark.cli.proxy import collect_rarely
from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig
from seamark.linux import netns
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.proxy.index import ServiceIndex
from seamark.proxy.lean import lean_service, lean_slice
from seamark.proxy.proxy import PIECE
from seamark.proxy.table import KernelTable

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.0.0.0/8",), ("10.96.0.0/12",))


def service(number: int, *, affinity: bool = False) -> Service:
    spec = {
        "clusterIP": f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
        "sessionAffinity": "ClientIP" if affinity else "None",
        "ports": [{"name": "http", "port": 80}],
    }
    meta = {"name": f"s{number}", "namespace": "bench"}
    return lean_service(codec.convert({"metadata": meta, "spec": spec}, Service))


def endpoint_slice(number: int, endpoints: int, turn: int) -> EndpointSlice:
    items = [
        {"addresses": [f"10.{200 + turn % 2}.{number % 250}.{place + 1}"], "nodeName": f"node{place}"}
        for place in range(endpoints)
    ]
    meta = {"name": f"s{number}-x", "namespace": "bench", "labels": {"kubernetes.io/service-name": f"s{number}"}}
    body = {"metadata": meta, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": items}
    return lean_slice(codec.convert(body, EndpointSlice))


@contextmanager
def measured(found: dict[str, tuple[float, float]], what: str, times: int = 1) -> Iterator[None]:
    """CPU of this process and its children, and wall time, in milliseconds each."""
    cpu, wall = _cpu(), time.perf_counter()
    yield
    found[what] = ((_cpu() - cpu) * 1000 / times, (time.perf_counter() - wall) * 1000 / times)


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


async def run(services: int, endpoints: int, changes: int, pin: Path) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    objects = [(service(n), endpoint_slice(n, endpoints, 0)) for n in range(services)]
    index = ServiceIndex(NODE, ("IPv4",))
    table = KernelTable(NODE, Layout(), pin)
    for made, piece in objects:
        index.observe_service(None, made, 0.0)
        index.observe_slice(None, piece, 0.0)
    with measured(found, "cold: all"):
        with measured(found, "cold: first 500"):
            await table.start({})
            await table.apply(index.take(PIECE).ports["IPv4"])
        while index.is_dirty:
            await table.apply(index.take(PIECE).ports["IPv4"])
    turns = [(n % services, endpoint_slice(n % services, endpoints, 1 + n // services)) for n in range(changes)]
    with measured(found, "one change", changes):
        for number, piece in turns:
            index.observe_slice(objects[number][1], piece, 0.0)
            await table.apply(index.take().ports["IPv4"])
    fresh = [service(services + n) for n in range(changes)]
    with measured(found, "one new Service", changes):
        for made in fresh:
            index.observe_service(None, made, 0.0)
            await table.apply(index.take().ports["IPv4"])
    table.close()
    second = KernelTable(NODE, Layout(), pin)
    with measured(found, "restart"):
        await second.start(index.rules("IPv4"))
    second.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--changes", type=int, default=500)
    given = parser.parse_args()
    collect_rarely()
    print(f"{'services':>9}  {'what':<16} {'CPU ms':>9} {'wall ms':>9}")
    for services in given.services:
        with tempfile.TemporaryDirectory() as directory:
            pin = Path(directory, "node")
            netns.create(pin)
            try:
                found = asyncio.run(run(services, given.endpoints, given.changes, pin))
            finally:
                netns.remove(pin)
        for what, (cpu, wall) in found.items():
            print(f"{services:>9}  {what:<16} {cpu:>9.3f} {wall:>9.3f}")


if __name__ == "__main__":
    main()
