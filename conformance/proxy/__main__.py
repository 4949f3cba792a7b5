"""Asks every flow of tests/scenarios of each backend and of kube-proxy; writes docs/conformance-proxy.md.

    make conformance-proxy
    .venv/bin/python -m conformance.proxy --only clusterip nodeport

Each scenario and backend has a node, pods and an outside of its own (network namespaces), with a real server for every
endpoint. The status is 1 if one of Seamark's backends differs from flows.yaml, or kube-proxy does in a way that
``differences.py`` does not explain. Needs root; kube-proxy is built on first use (needs Go).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from conformance.page import render_page
from conformance.proxy.api import read_objects, running_api
from conformance.proxy.differences import explain
from conformance.proxy.peer import build_kube_proxy, running_kube_proxy
from conformance.proxy.report import Cell, render_body
from seamark import __version__
from seamark.compile.tracer import trace
from seamark.proxy.backend import Backend, NftablesBackend
from seamark.proxy.iptablestable import IptablesBackend
from seamark.testing.networld import World
from seamark.testing.scenario import Flow, Seen, observe, read_flows, read_ruleset, scenario_world, serve_endpoints

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance-proxy.md"
SCENARIOS = sorted(path.parent for path in (ROOT / "tests" / "scenarios").glob("*/objects.yaml"))
API_PORT = 6443
TITLE = "The same flows through Seamark and kube-proxy"
ABOUT = """Where connections go, by `tests/scenarios/*/flows.yaml`: asked of the packet tracer, of Seamark's rules in a
real kernel, and of the real kube-proxy with the same objects, by `make conformance-proxy`. ✓: as flows.yaml says."""

InForce = Callable[[World, Path], AbstractAsyncContextManager[None]]
PATIENCE = {"refuse": 3.0, "drop": 1.5}
"""Seconds. A refusal of kube-proxy's may come with the first repetition of a client's SYN, after one second."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", help="these; the page is not written")
    only = parser.parse_args().only
    folders = [folder for folder in SCENARIOS if not only or folder.name in only]
    binary = build_kube_proxy()
    logs = Path(tempfile.mkdtemp(prefix="seamark-proxy-"))
    backends: dict[str, InForce] = {
        "nftables": _ours(NftablesBackend()),
        "iptables": _ours(IptablesBackend("-nft")),
        "kube-proxy nftables": _theirs(binary, "nftables", logs),
        "kube-proxy iptables": _theirs(binary, "iptables", logs),
    }
    cells = asyncio.run(ask_all(folders, backends))
    if not only:
        version = binary.parent.name.removeprefix("kubernetes-")
        versions = {"Seamark": __version__, "kube-proxy": version}
        body = render_body(cells, ("tracer", *backends))
        PAGE.write_text(render_page(TITLE, ABOUT, versions=versions, body=body))
    bad = [cell for cell in cells if not cell.is_fine]
    for cell in bad:
        print(f"{cell.backend}: {cell.scenario}: {cell.case}: {cell.seen}")
    print(f"{len(cells) - len(bad)} cells as they should be, {len(bad)} not" + (f"; logs: {logs}" if bad else ""))
    return 1 if bad else 0


async def ask_all(folders: list[Path], backends: dict[str, InForce]) -> list[Cell]:
    cells = []
    for folder in folders:
        flows = read_flows(folder).flows
        for flow in flows:
            fits = trace(read_ruleset(folder, flow.family), flow.packet) == flow.wanted
            cells.append(Cell(folder.name, flow.case, "tracer", "" if fits else "something else"))
        for name, in_force in backends.items():
            found = await ask_backend(folder, flows, in_force)
            cells += [_judge(folder, flow, name, seen) for flow, seen in zip(flows, found, strict=True)]
            print(f"{folder.name:<24} {name}", flush=True)
    return cells


async def ask_backend(folder: Path, flows: list[Flow], in_force: InForce) -> list[Seen | None]:
    """None for a flow that packets cannot show."""
    with tempfile.TemporaryDirectory() as directory, scenario_world(folder, Path(directory)) as world:
        await serve_endpoints(world, folder)
        async with in_force(world, folder):
            return [
                await observe(world, flow, tries=100, patience=PATIENCE.get(flow.outcome, 2.0))
                if flow.is_packets
                else None
                for flow in flows
            ]


def _judge(folder: Path, flow: Flow, backend: str, seen: Seen | None) -> Cell:
    if seen is None:
        return Cell(folder.name, flow.case, backend, "", asked=False)
    if seen.fits(flow):
        return Cell(folder.name, flow.case, backend, "")
    return Cell(folder.name, flow.case, backend, str(seen), explain(backend, folder.name, flow, seen))


def _ours(backend: Backend) -> InForce:
    @asynccontextmanager
    async def in_force(world: World, folder: Path) -> AsyncIterator[None]:
        families = sorted({flow.family for flow in read_flows(folder).flows})
        rulesets = [(family, read_ruleset(folder, family)) for family in families]
        tables = [(backend.open(rules.node, family, world.node_pin), rules) for family, rules in rulesets]
        try:
            for table, rules in tables:
                await table.start(rules.ports)
            yield
            await backend.remove(families, world.node_pin)
        finally:
            for table, _ in tables:
                table.close()

    return in_force


def _theirs(binary: Path, mode: str, logs: Path) -> InForce:
    @asynccontextmanager
    async def in_force(world: World, folder: Path) -> AsyncIterator[None]:
        async with running_api(world.node_pin, API_PORT) as api:
            await api.put_all(read_objects(folder))
            log = logs / f"{folder.name}-{mode}.log"
            async with running_kube_proxy(binary, api, world.node_pin, mode=mode, log=log):
                yield

    return in_force


if __name__ == "__main__":
    sys.exit(main())
