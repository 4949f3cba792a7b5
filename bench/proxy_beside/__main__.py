"""Seamark's service proxy beside kube-proxy (nftables, iptables): the same API, objects and connections.

    make bench-proxy
    sudo .venv/bin/python -m bench.proxy_beside [--services 1000 5000] [--only seamark] [--long]

Every Service has ten endpoints in one slice. "In force" is a connection from a pod that reaches a new endpoint; nothing
is asked of the proxy. Each proxy and number of Services has namespaces and an API (Seamark's, in this process) of its
own. kube-proxy's single changes are timed with its least minSyncPeriod (1 ms), its burst with the default (1 s).
``--long`` runs 10 000 Services with kube-proxy too, and mode iptables with more than 1 000. Needs root; kube-proxy is
built on first use (needs Go).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from bench.proxy_beside.measures import Figures, Plan, opened
from bench.proxy_beside.proxies import Kind, kinds
from bench.proxy_beside.table import render
from conformance.proxy.peer import build_kube_proxy

NAMES = ("kube-proxy nftables", "kube-proxy iptables", "seamark")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--more", type=int, nargs="*", default=[10_000, 44_000], help="Services for Seamark alone")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--burst", type=int, default=10, metavar="SECONDS")
    parser.add_argument("--long", action="store_true", help="10 000 Services with kube-proxy too")
    given = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root: network namespaces")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: dict[tuple[str, int], Figures] = {}
    try:
        for services, kind in _order(kinds(build_kube_proxy, given.only), given):
            peer = kind.name.startswith("kube-proxy")
            changes = max(10, given.changes * 250 // services) if peer else given.changes
            plan = Plan(services, changes, given.burst, connects=2000)
            found[kind.name, services] = asyncio.run(_run(plan, kind))
            print(f"{kind.name}, {services} Services: measured", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("ended early: what there is by now", file=sys.stderr)
    print(render(found))
    return 0


def _order(found: list[Kind], given: argparse.Namespace) -> list[tuple[int, Kind]]:
    """By size, so that those to compare run one after another."""
    runs = [(services, kind) for kind in found for services in _sizes(kind, given)]
    return sorted(runs, key=lambda run: run[0])


def _sizes(kind: Kind, given: argparse.Namespace) -> list[int]:
    if kind.name == "seamark":
        return sorted({*given.services, *given.more})
    if kind.mode == "iptables" and not given.long:
        return sorted(services for services in given.services if services <= 1000)
    return sorted({*given.services, *([10_000] if given.long else [])})


async def _run(plan: Plan, kind: Kind) -> Figures:
    with tempfile.TemporaryDirectory() as directory:
        async with opened(plan, kind, Path(directory)) as bench:
            try:
                return await bench.measure()
            except TimeoutError:
                print(f"{kind.name}, {plan.services} Services: gave up waiting", file=sys.stderr)
                return bench.figures


if __name__ == "__main__":
    sys.exit(main())
