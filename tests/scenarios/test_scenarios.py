"""Each folder is one story: objects, what the compilers make of them (golden), and where packets go (by hand).

``*.golden`` is rewritten by ``pytest --update-golden tests/scenarios``; ``flows.yaml`` states behaviour and never is.
One table of flows, three engines: the tracer reads the decisions, the fake reads the nft elements, and a real kernel
moves real packets between namespaces.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seamark.cli.compile import app
from seamark.compile.diff import compile_nft
from seamark.compile.manifest import parse_manifest
from seamark.compile.nftlayout import Layout
from seamark.compile.tracer import trace
from seamark.linux import cgroups
from seamark.linux.ipvs import Ipvs, IpvsError
from seamark.proxy.backend import Backend, NftablesBackend
from seamark.proxy.connecthook import WithConnectHook
from seamark.proxy.iptablestable import IptablesBackend
from seamark.proxy.ipvstable import IpvsBackend
from seamark.proxy.userspacetable import UserspaceBackend
from seamark.testing.cgroup import make_cgroup
from seamark.testing.fakenft import FakeNft
from seamark.testing.networld import World
from seamark.testing.scenario import (
    POD_CIDRS,
    SERVICE_CIDRS,
    Flow,
    observe,
    read_flows,
    read_ruleset,
    scenario_world,
    serve_endpoints,
)

HERE = Path(__file__).parent
SCENARIOS = sorted(path.parent for path in HERE.glob("*/objects.yaml"))
BACKENDS = (NftablesBackend(), IptablesBackend("-legacy"), IptablesBackend("-nft"), IpvsBackend(), UserspaceBackend())
PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def all_flows() -> Iterator[Any]:
    for folder in SCENARIOS:
        for flow in read_flows(folder).flows:
            yield pytest.param(folder, flow, id=f"{folder.name}: {flow.case}")


def test_every_folder_tells_a_whole_story() -> None:
    assert len(SCENARIOS) >= 10
    folders = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__")
    assert folders == SCENARIOS
    for folder in SCENARIOS:
        assert read_flows(folder).flows, folder.name
        assert (folder / "objects.yaml").read_text().startswith("# "), "say in a line what the story is"


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda f: f.name)
@pytest.mark.parametrize("product", ["env", "dns", "nft", "iptables", "ipvs", "nft6", "iptables6", "ipvs6"])
def test_product(folder: Path, product: str, update_golden: bool) -> None:
    """The golden file is what the command line prints."""
    golden = folder / f"{product}.golden"
    if product.endswith("6") and not any(flow.family == "IPv6" for flow in read_flows(folder).flows):
        assert not golden.exists()
        return
    argv = [
        product.removesuffix("6"),
        "-f",
        str(folder / "objects.yaml"),
        *(["--show-source"] if product in ("env", "dns") else []),
    ]
    snapshot = parse_manifest((folder / "objects.yaml").read_text()).snapshot
    if product.endswith("6"):
        argv += ["--ipv6", "--pod-cidr", ",".join(POD_CIDRS), "--service-cidr", ",".join(SERVICE_CIDRS)]
    if product == "env" and snapshot.pods:
        argv += ["--pod", str(min(snapshot.pods))]
    result = CliRunner().invoke(app, argv)
    assert result.exit_code == 0, result.output
    if update_golden:
        golden.write_text(result.stdout)
    assert result.stdout == golden.read_text(), "if this is meant: pytest --update-golden tests/scenarios"


@pytest.mark.parametrize(("folder", "flow"), list(all_flows()))
def test_flow_on_the_tracer(folder: Path, flow: Flow) -> None:
    assert trace(read_ruleset(folder, flow.family), flow.packet) == flow.wanted


@pytest.mark.parametrize(("folder", "flow"), list(all_flows()))
def test_flow_in_the_elements(folder: Path, flow: Flow) -> None:
    ruleset, layout = read_ruleset(folder, flow.family), Layout(flow.family)
    kernel = FakeNft(ruleset.node, layout)
    kernel.apply(compile_nft(ruleset, layout).full())
    assert kernel.trace(flow.packet) == flow.wanted


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The scenario's node with its pods and everybody who sends, with every endpoint answering."""
    with scenario_world(request.param, tmp_path / "netns") as made:
        await serve_endpoints(made, request.param)
        yield made


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: f"{b.mode}{getattr(b, 'variant', '')}")
@pytest.mark.parametrize("world", SCENARIOS, ids=lambda f: f.name, indirect=True)
async def test_flows_on_the_kernel(world: World, backend: Backend, request: pytest.FixtureRequest) -> None:
    folder: Path = request.node.callspec.params["world"]
    flows = [flow for flow in read_flows(folder).flows if flow.is_packets]
    if backend.mode == "userspace":
        flows = [flow for flow in flows if flow.protocol != "SCTP"]  # which it does not serve
    families = sorted({flow.family for flow in flows}) or ["IPv4"]
    if backend.mode == "iptables" and shutil.which("iptables-restore", path=PATH) is None:
        pytest.skip("iptables-restore is not installed")
    if backend.mode == "ipvs" and not has_ipvs(world):
        pytest.skip("this kernel has no IPVS: make test-vm")
    rulesets = {family: read_ruleset(folder, family) for family in families}
    tables = [(backend.open(rules.node, family, world.node_pin), rules) for family, rules in rulesets.items()]
    try:
        for table, rules in tables:
            await table.start(rules.ports)
        for flow in flows:
            await (check_userspace if backend.mode == "userspace" else check_flow)(world, flow)
        removed = await backend.remove(families, world.node_pin)
        some = any(rules.ports for rules in rulesets.values())
        assert removed == (some or backend.mode != "userspace"), "a mode without tables leaves nothing"
        assert not await backend.remove(families, world.node_pin)
        assert "dummy" not in world.run_on_node("ip", "-details", "link")
        assert "proto 94" not in world.run_on_node("ip", "route", "show", "table", "local")
        if not backend.mode.startswith("iptables"):
            assert world.run_on_node("nft", "list", "ruleset") == ""
        else:
            assert "KUBE-" not in world.run_on_node("iptables-save")
            assert "KUBE-" not in world.run_on_node("iptables-legacy-save")
            assert "KUBE-" not in world.run_on_node("ip6tables-save")
    finally:
        for table, _ in tables:
            table.close()


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(cgroups.find_unified() is None, reason="no cgroup2 is mounted")
@pytest.mark.parametrize("world", SCENARIOS, ids=lambda f: f.name, indirect=True)
async def test_flows_by_the_connect_hook(world: World, request: pytest.FixtureRequest) -> None:
    """Pods and the node's own processes meet what the rules would have done; only masquerading is not needed."""
    folder: Path = request.node.callspec.params["world"]
    flows = [flow for flow in read_flows(folder).flows if flow.is_packets and world.is_here(flow.source)]
    rulesets = {family: read_ruleset(folder, family) for family in sorted({flow.family for flow in flows})}
    with make_cgroup("seamark-flows") as cgroup, ExitStack() as stack:
        backend = WithConnectHook(NftablesBackend(), cgroup.path)
        for family, rules in rulesets.items():
            table = backend.open(rules.node, family, world.node_pin)
            stack.callback(table.close)
            await table.start(rules.ports)
        stack.enter_context(cgroup.entered())
        for flow in flows:
            seen = await observe(world, flow, patience=patience_for(flow))
            assert replace(seen, masqueraded=seen.servers & flow.wanted.masqueraded).fits(flow), f"{flow.case}: {seen}"


async def check_userspace(world: World, flow: Flow) -> None:
    """Servers see the node, and where nothing may pass a connection is reset."""
    packet, wanted = flow.packet, flow.wanted
    if wanted.action != "balance":
        patience = 1.5 if wanted.action == "refuse" else 0.25
        answer = await world.ask(packet.source, packet.destination, packet.port, packet.protocol, patience=patience)
        assert answer.result == "refused" or (wanted.action == "drop" and answer.result != "answer"), flow.case
        return
    answers = [await world.ask(packet.source, packet.destination, packet.port, packet.protocol) for _ in range(60)]
    assert {a.client for a in answers} == {world.node6 if flow.family == "IPv6" else world.node}, flow.case
    assert len({a.server for a in answers}) == (1 if flow.sticky else len(wanted.endpoints)), flow.case
    assert {a.server for a in answers} <= wanted.endpoints, flow.case


def has_ipvs(world: World) -> bool:
    try:
        with Ipvs(world.node_pin):
            return True
    except IpvsError:
        return False


async def check_flow(world: World, flow: Flow) -> None:
    seen = await observe(world, flow, patience=patience_for(flow))
    assert seen.fits(flow), f"{flow.case}: {seen}"


def patience_for(flow: Flow) -> float:
    return {"refuse": 1.5, "drop": 0.25}.get(flow.outcome, 2.0)
