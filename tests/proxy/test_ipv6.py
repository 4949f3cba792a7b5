"""The IPv6 twin of the table, with real packets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig, Ruleset, compile_ruleset
from seamark.compile.tracer import Packet, trace
from seamark.linux.clock import SystemClock
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy.flowcleaner import FlowCleaner
from seamark.proxy.metrics import ProxyMetrics
from seamark.proxy.table import KernelTable
from seamark.testing.networld import OUTSIDE6, World, make_world

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE6, VIP6 = "fd00:30::11", "fd00:96::9"
PODS6 = ("fd00:244::2", "fd00:244::3", "fd00:244::4")
EXTERNAL6, BALANCER6 = "2001:db8::10", "2001:db8::20"
PLACES = ((VIP6, 80), (NODE6, 30080), (EXTERNAL6, 80), (BALANCER6, 80))
CONFIG = NodeConfig("node1", (NODE6,), ("fd00:244::/48",), ("fd00:96::/112",))


def ruleset(*endpoints: str, protocol: str = "TCP", **spec: Any) -> Ruleset:
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": protocol}]
    ingress = [{"ip": BALANCER6, "ipMode": "VIP"}]
    given = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": VIP6, "type": "LoadBalancer", "externalIPs": [EXTERNAL6], "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    meta = {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}
    piece = {
        "metadata": meta,
        "addressType": "IPv6",
        "ports": [{"name": "http", "port": 8080, "protocol": protocol}],
        "endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in endpoints],
    }
    snapshot = Snapshot.of([codec.convert(given, Service), codec.convert(piece, EndpointSlice)])
    return compile_ruleset(snapshot, CONFIG, family="IPv6")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with make_world(tmp_path / "netns", node="172.30.0.11", node6=NODE6, pods=PODS6) as made:
        for ip in PODS6:
            await made.serve(ip, 8080)
            await made.serve(ip, 8080, "UDP")
        yield made


def listed(world: World) -> str:
    """What an administrator sees; nft fails where it cannot read a rule back."""
    return world.run_on_node("nft", "list", "ruleset")


@pytest.mark.parametrize("source", [*PODS6[:1], NODE6, OUTSIDE6])
async def test_packets_do_what_was_decided(world: World, source: str) -> None:
    table = KernelTable(CONFIG, Layout("IPv6"), world.node_pin)
    try:
        rules = ruleset(*PODS6)
        await table.start(rules.ports)
        for destination, port in PLACES:
            wanted = trace(rules, Packet(source, destination, port))
            answers = [await world.ask(source, destination, port) for _ in range(30)]
            assert {a.server for a in answers} == wanted.endpoints
            for answer in answers:
                assert (answer.client == source) == (answer.server not in wanted.masqueraded or source == NODE6)
        await table.apply(ruleset().ports)
        assert (await world.ask(source, VIP6, 80)).result == "refused"
        await table.apply(ruleset(*PODS6, sessionAffinity="ClientIP").ports)
        (chosen,) = {(await world.ask(source, VIP6, 80)).server for _ in range(15)}
        assert "update @aff { meta priority & 0:ffff . ip6 saddr timeout 3h : meta priority }" in listed(world)
        left = next(ip for ip in PODS6 if ip not in chosen)
        await table.apply(ruleset(left, sessionAffinity="ClientIP").ports)
        for destination, port in PLACES:
            assert (await world.ask(source, destination, port)).server == f"[{left}]:8080"
        await table.apply(ruleset(*PODS6, sessionAffinity="ClientIP").ports)
        for destination, port in PLACES * 4:  # two came back, and he stays wherever he knocks
            assert (await world.ask(source, destination, port)).server == f"[{left}]:8080"
        assert not await table.check()
        table.remove()
        assert world.run_on_node("nft", "list", "ruleset") == ""
    finally:
        table.close()


@pytest.mark.parametrize("source", [PODS6[0], NODE6, OUTSIDE6])
async def test_datagrams(world: World, source: str) -> None:
    """By every way in; and a flow whose endpoint went moves, by IPv6 as well."""
    table = KernelTable(CONFIG, Layout("IPv6"), world.node_pin)
    cleaner = FlowCleaner(world.node_pin, SystemClock(), ProxyMetrics("nftables"))
    one, other = PODS6[1:]
    try:
        await table.start(ruleset(one, protocol="UDP").ports)
        for destination, port in PLACES:
            with world.open_client(source, "UDP") as client:
                answer = await world.exchange(client, destination, port)
                assert answer.server == f"[{one}]:8080"
                assert (answer.client == source) == ((source, destination) == (PODS6[0], VIP6) or source == NODE6)
                rules = ruleset(other, protocol="UDP")
                await table.apply(rules.ports)
                cleaner.clean(rules.ports.values(), CONFIG)
                assert (await world.exchange(client, destination, port)).server == f"[{other}]:8080"
                await table.apply(ruleset(one, protocol="UDP").ports)
        await table.apply(ruleset(protocol="UDP").ports)
        assert (await world.ask(source, VIP6, 80, "UDP")).result == "refused"
    finally:
        table.close()


async def test_policy_local_and_source_ranges(world: World) -> None:
    """The client's address is kept; pods and the node are led to all; a balancer's address is guarded, no other."""
    table = KernelTable(CONFIG, Layout("IPv6"), world.node_pin)
    try:
        guarded = ruleset(PODS6[1], externalTrafficPolicy="Local", loadBalancerSourceRanges=["fd00:30::100/127"])
        await table.start(guarded.ports)
        for destination, port in PLACES[1:]:
            assert (await world.ask(OUTSIDE6, destination, port)).client == OUTSIDE6
        assert (await world.ask(PODS6[0], EXTERNAL6, 80)).client == PODS6[0]
        assert (await world.ask(PODS6[0], BALANCER6, 80, patience=0.3)).result == "timeout"
        await table.apply(ruleset(PODS6[1], loadBalancerSourceRanges=["2001:db8:7::/64"]).ports)
        assert (await world.ask(OUTSIDE6, BALANCER6, 80, patience=0.3)).result == "timeout"
        assert (await world.ask(OUTSIDE6, EXTERNAL6, 80)).client == NODE6
    finally:
        table.close()
