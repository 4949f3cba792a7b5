"""Mode ipvs on a kernel that has it (``make test-vm``): what happens to connections, restarts, and others' changes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig, Ruleset, compile_ruleset
from seamark.linux.ipvs import Ipvs, IpvsError
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy.ipvsoptions import IpvsOptions
from seamark.proxy.ipvstable import IpvsBackend, IpvsTable
from seamark.testing.networld import OUTSIDE, World, has_sctp

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
CONFIG = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",))


def ruleset(*endpoints: str, protocol: str = "TCP", **spec: Any) -> Ruleset:
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": protocol}]
    meta = {"name": "web", "namespace": "default"}
    service = {"metadata": meta, "spec": {"clusterIP": VIP, "type": "NodePort", "ports": ports, **spec}}
    piece = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": protocol}],
        "endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in endpoints],
    }
    found = Snapshot.of([codec.convert(service, Service), codec.convert(piece, EndpointSlice)])
    return compile_ruleset(found, CONFIG)


@pytest.fixture
async def table(world: World) -> AsyncIterator[IpvsTable]:
    backend = IpvsBackend(IpvsOptions("rr"))
    try:
        made = backend.open(CONFIG, "IPv4", world.node_pin)
    except IpvsError:
        pytest.skip("this kernel has no IPVS: make test-vm")
    assert isinstance(made, IpvsTable)
    yield made
    made.close()
    await backend.remove(["IPv4"], world.node_pin)
    with Ipvs(world.node_pin) as ipvs:
        assert ipvs.services() == {}


@pytest.mark.skipif("SEAMARK_VM" not in os.environ, reason="make test-vm")
def test_this_kernel_has_what_it_was_booted_for(world: World) -> None:
    """Else everything that is asked of it would be left out in silence."""
    assert has_sctp()
    Ipvs(world.node_pin).close()


async def test_a_removed_endpoint_keeps_its_connections(world: World, table: IpvsTable) -> None:
    for pod in (A, B):
        await world.serve(pod, 8080)
    await table.start(ruleset(A).ports)
    with world.open_client(C) as client:
        assert (await world.exchange(client, VIP, 80)).server == f"{A}:8080"
        await table.apply(ruleset(B).ports)
        assert {(await world.ask(C, VIP, 80)).server for _ in range(6)} == {f"{B}:8080"}
        with Ipvs(world.node_pin) as ipvs:
            weights = {state.weight for service in ipvs.services() for state in ipvs.dests(service).values()}
        assert weights == {0, 1}, "the old one drains"
        await table.apply(ruleset(A, B).ports)
        assert {(await world.ask(C, VIP, 80)).server for _ in range(6)} == {f"{A}:8080", f"{B}:8080"}


async def test_udp_flows_move_at_once(world: World, table: IpvsTable) -> None:
    for pod in (A, B):
        await world.serve(pod, 8080, "UDP")
    await table.start(ruleset(A, protocol="UDP").ports)
    with world.open_client(C, "UDP") as client:
        assert (await world.exchange(client, VIP, 80)).server == f"{A}:8080"
        await table.apply(ruleset(B, protocol="UDP").ports)
        await world.exchange(client, VIP, 80, patience=0.3)  # this packet may find the old entry and end it
        assert (await world.exchange(client, VIP, 80)).server == f"{B}:8080"


async def test_a_restart_takes_over_and_leaves_others_alone(world: World, table: IpvsTable) -> None:
    await world.serve(A, 8080)
    await table.start(ruleset(A, sessionAffinity="ClientIP").ports)
    second = IpvsBackend().open(CONFIG, "IPv4", world.node_pin)
    try:
        await second.start(ruleset(A, sessionAffinity="ClientIP").ports)
        assert {(await world.ask(OUTSIDE, NODE, 30080)).server for _ in range(3)} == {f"{A}:8080"}
        assert not await second.check()
        await second.start(ruleset().ports)
        assert (await world.ask(C, VIP, 80)).result == "refused"
        with Ipvs(world.node_pin) as ipvs:
            assert ipvs.services() == {}
    finally:
        second.close()


@pytest.mark.parametrize("damage", ["nft flush ruleset", "ip link delete kube-ipvs0"])
async def test_what_others_take_away_comes_back(world: World, table: IpvsTable, damage: str) -> None:
    await world.serve(A, 8080)
    await table.start(ruleset(A).ports)
    world.run_on_node(*damage.split())
    assert any([await table.check() for _ in range(5)])
    assert (await world.ask(C, VIP, 80)).server == f"{A}:8080"
    assert (await world.ask(C, VIP, 81)).result == "refused"
    assert not any([await table.check() for _ in range(5)])
