"""The iptables mode by the same proxy: what changes, what others do, what stays."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig, compile_ruleset
from seamark.compile.tracer import Packet, trace
from seamark.linux.iptables import Iptables, IptablesError
from seamark.machinery.gvr import SERVICES
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy.iptablestable import CHECK_EVERY, IptablesBackend
from seamark.testing.networld import OUTSIDE, OUTSIDE6, World, make_world

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        shutil.which("iptables-restore", path="/usr/sbin:/sbin:/usr/bin:/bin") is None, reason="needs iptables"
    ),
]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
OPTIONS = {"backend": IptablesBackend()}


async def servers(world: World, source: str, destination: str, port: int = 80, *, times: int = 40) -> set[str]:
    return {(await world.ask(source, destination, port)).server.partition(":")[0] for _ in range(times)}


async def test_a_service_lives_and_dies(world: World, start_proxy: Any) -> None:
    for ip in (A, B, C):
        await world.serve(ip, 8080)
    async with start_proxy(options=OPTIONS) as cluster:
        await cluster.service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
        assert (await world.ask(A, VIP, 80, patience=0.5)).result == "refused"
        await cluster.endpoints(A, B)
        for source in (A, NODE, OUTSIDE):
            assert await servers(world, source, VIP) == {A, B}
            assert await servers(world, source, NODE, 30080) == {A, B}
        assert (await world.ask(C, VIP, 81, patience=0.5)).result == "refused"
        assert (await world.ask(C, "10.96.200.1", 80, patience=0.2)).result == "timeout"
        await cluster.endpoints(C)
        assert await servers(world, OUTSIDE, VIP, times=10) == {C}
        await cluster.delete(SERVICES, "web")
        assert re.findall(r"KUBE-S(?:VC|EP)-", world.run_on_node("iptables-save")) == []
    assert "KUBE-" not in world.run_on_node("iptables-save")


async def test_affinity_sticks_until_its_endpoint_goes(world: World, start_proxy: Any) -> None:
    for ip in (A, B, C):
        await world.serve(ip, 8080)
    async with start_proxy(options=OPTIONS) as cluster:
        await cluster.service(sessionAffinity="ClientIP")
        await cluster.endpoints(A, B, C)
        (chosen,) = await servers(world, OUTSIDE, VIP)
        await cluster.endpoints(*({A, B, C} - {chosen}))
        (other,) = await servers(world, OUTSIDE, VIP)
        await cluster.endpoints(A, B, C)
        assert await servers(world, OUTSIDE, VIP) == {other}, "sticks though the old is back"


async def test_a_foreign_flush_is_mended(world: World, start_proxy: Any) -> None:
    await world.serve(A, 8080)
    async with start_proxy(options=OPTIONS) as cluster:
        await cluster.service()
        await cluster.endpoints(A)
        world.run_on_node("iptables", "-t", "nat", "-F")
        async with asyncio.timeout(CHECK_EVERY + 3):
            while (await world.ask(B, VIP, 80, patience=0.2)).result != "answer":  # noqa: ASYNC110 - the kernel's time
                await asyncio.sleep(0.05)
        assert cluster.proxy.mended == 1


@pytest.mark.parametrize(("variant", "looks"), [("-nft", 1), ("-legacy", CHECK_EVERY)])
async def test_a_foreign_flush_is_seen_at_the_next_look(world: World, variant: Any, looks: int) -> None:
    """At once where iptables stand on nftables, whose generation tells; other programs' tables are no damage."""
    backend = IptablesBackend(variant)
    table = backend.open(NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",)), "IPv4", world.node_pin)
    await table.start({})
    assert not any([await table.check() for _ in range(CHECK_EVERY)])
    world.run_on_node("nft", "add table ip theirs")
    assert not any([await table.check() for _ in range(CHECK_EVERY)])
    world.run_on_node(f"iptables{variant}", "-t", "nat", "-F")
    assert any([await table.check() for _ in range(looks)])
    assert not any([await table.check() for _ in range(CHECK_EVERY)])
    assert await backend.remove(["IPv4"], world.node_pin)


async def test_rules_survive_the_proxy_and_a_new_one_takes_them_over(world: World, start_proxy: Any) -> None:
    await world.serve(A, 8080)
    world.run_on_node("iptables", "-t", "nat", "-N", "KUBE-SVC-STALE")
    world.run_on_node("iptables", "-N", "KUBE-FIREWALL")
    world.run_on_node("iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
    async with start_proxy(options=OPTIONS, remove=False) as cluster:
        await cluster.service()
        await cluster.endpoints(A)
    before = world.run_on_node("iptables", "-t", "nat", "-S")
    assert "STALE" not in before
    assert (await world.ask(B, VIP, 80)).result == "answer"
    async with start_proxy(options=OPTIONS) as cluster:
        assert world.run_on_node("iptables", "-t", "nat", "-S") == before
    assert world.run_on_node("iptables", "-S").splitlines()[3:] == [
        "-N KUBE-FIREWALL",
        "-A INPUT -s 192.0.2.1/32 -j DROP",
    ]


async def test_ipv6(tmp_path: Path) -> None:
    node6, vip, pods = "fd00:30::11", "fd00:96::9", ("fd00:244::2", "fd00:244::3")
    node = NodeConfig("node1", (node6,), ("fd00:244::/48",), ("fd00:96::/112",))
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"clusterIP": vip, "ports": ports}}
    piece = {
        "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv6",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in pods],
    }
    snapshot = Snapshot.of([codec.convert(service, Service), codec.convert(piece, EndpointSlice)])
    rules = compile_ruleset(snapshot, node, family="IPv6")
    backend = IptablesBackend()
    with make_world(tmp_path / "netns", node="172.30.0.11", node6=node6, pods=pods) as world:
        for ip in pods:
            await world.serve(ip, 8080)
        table = backend.open(node, "IPv6", world.node_pin)
        await table.start(rules.ports)
        for source in (pods[0], node6, OUTSIDE6):
            for destination, port in ((vip, 80), (node6, 30080)):
                wanted = trace(rules, Packet(source, destination, port))
                answers = [await world.ask(source, destination, port) for _ in range(30)]
                assert {a.server for a in answers} == wanted.endpoints
                for answer in answers:
                    assert (answer.client == source) == (answer.server not in wanted.masqueraded or source == node6)
            assert (await world.ask(source, vip, 81, patience=0.5)).result == "refused"
        assert not await backend.remove(["IPv4"], world.node_pin)
        assert await backend.remove(["IPv6"], world.node_pin)


async def test_nothing_without_our_mark_is_removed(world: World) -> None:
    world.run_on_node("iptables", "-t", "nat", "-N", "KUBE-SERVICES")
    assert not await IptablesBackend().remove(("IPv4", "IPv6"), world.node_pin)
    assert "KUBE-SERVICES" in world.run_on_node("iptables-save")


async def test_what_iptables_refuses_is_said(world: World) -> None:
    iptables = Iptables(world.node_pin)
    with pytest.raises(IptablesError, match=r"iptables-restore: .*line"):
        await iptables.restore("*nat\n-A NOWHERE -j ACCEPT\nCOMMIT\n")
    with pytest.raises(IptablesError, match="install the package iptables"):
        await Iptables(world.node_pin, variant="-none").save()  # type: ignore[arg-type]  # a program nobody has
