"""Running connections: established TCP lives through everything, UDP flows move exactly when their endpoint went.

The cases are those in which kube-proxy or its users have been bitten (stale entries, black holes), one test each.
"""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from seamark.linux.conntrack import Conntrack
from seamark.machinery.gvr import ENDPOINTSLICES, SERVICES
from seamark.proxy.backend import NftablesBackend
from seamark.proxy.iptablestable import IptablesBackend
from seamark.testing.networld import OUTSIDE, World

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
EXTERNAL = "192.0.2.10"
PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
PLACES = [(VIP, 53), (NODE, 30053), (EXTERNAL, 53)]


@pytest.fixture(params=[NftablesBackend(), IptablesBackend()], ids=lambda backend: backend.mode)
def start_proxy(request: pytest.FixtureRequest, start_proxy: Any) -> Any:
    """In both modes whose flows connection tracking keeps."""
    if request.param.mode == "iptables" and shutil.which("iptables-restore", path=PATH) is None:
        pytest.skip("iptables-restore is not installed")
    return partial(start_proxy, options={"backend": request.param})


async def serve_udp(world: World) -> None:
    for pod in (A, B):
        await world.serve(pod, 8080, "UDP")


async def udp_service(cluster: Any) -> None:
    ports = [{"name": "http", "port": 53, "protocol": "UDP", "nodePort": 30053}]
    await cluster.service(type="NodePort", externalIPs=[EXTERNAL], ports=ports)


async def put(cluster: Any, *addresses: str, **conditions: bool) -> None:
    await cluster.endpoints(*addresses, protocol="UDP", **conditions)


@pytest.mark.parametrize(("ip", "port"), PLACES)
async def test_a_flow_moves_when_its_endpoint_goes(world: World, cluster: Any, ip: str, port: int) -> None:
    await serve_udp(world)
    await udp_service(cluster)
    await put(cluster, A)
    with world.open_client(OUTSIDE, "UDP") as client:
        assert (await world.exchange(client, ip, port)).server == f"{A}:8080"
        await put(cluster, B)
        assert (await world.exchange(client, ip, port)).server == f"{B}:8080"


@pytest.mark.parametrize(("ip", "port"), PLACES)
async def test_a_flow_over_a_time_without_endpoints(world: World, cluster: Any, ip: str, port: int) -> None:
    """N, none, N: the client that kept sending is not left in the hole."""
    await serve_udp(world)
    await udp_service(cluster)
    await put(cluster, A)
    with world.open_client(OUTSIDE, "UDP") as client:
        assert (await world.exchange(client, ip, port)).server == f"{A}:8080"
        await put(cluster)
        for _ in range(3):
            await world.exchange(client, ip, port, patience=0.1)
        await put(cluster, B)
        assert (await world.exchange(client, ip, port)).server == f"{B}:8080"


@pytest.mark.parametrize(("ip", "port"), PLACES)
async def test_a_flow_begun_before_the_service_was_there(world: World, cluster: Any, ip: str, port: int) -> None:
    await serve_udp(world)
    with world.open_client(OUTSIDE, "UDP") as client:
        for _ in range(3):
            await world.exchange(client, ip, port, patience=0.1)
        await udp_service(cluster)
        await world.exchange(client, ip, port, patience=0.1)
        await put(cluster, A)
        assert (await world.exchange(client, ip, port)).server == f"{A}:8080"


async def test_a_flow_to_a_terminating_endpoint_that_serves_stays(world: World, cluster: Any) -> None:
    await serve_udp(world)
    await udp_service(cluster)
    await put(cluster, A)
    with world.open_client(C, "UDP") as client:
        assert (await world.exchange(client, VIP, 53)).server == f"{A}:8080"
        await put(cluster, A, ready=False, serving=True, terminating=True)
        patch = {"endpoints": [leaving(A), {"addresses": [B], "nodeName": "node1"}]}
        before = len(cluster.proxy.applied)
        await cluster.client.patch(ENDPOINTSLICES, "web-x", patch, namespace="default")
        await cluster.applied(before)
        assert (await world.exchange(client, VIP, 53)).server == f"{A}:8080", "a running flow stays"
        assert (await world.ask(C, VIP, 53, "UDP")).server == f"{B}:8080", "new ones go to the ready one"
        await put(cluster, B)
        assert (await world.exchange(client, VIP, 53)).server == f"{B}:8080"


def leaving(ip: str) -> dict[str, Any]:
    conditions = {"ready": False, "serving": True, "terminating": True}
    return {"addresses": [ip], "nodeName": "node1", "conditions": conditions}


async def test_a_flow_whose_endpoint_went_while_no_proxy_ran(world: World, start_proxy: Any) -> None:
    await serve_udp(world)
    with world.open_client(C, "UDP") as client:
        async with start_proxy(remove=False) as cluster:
            await udp_service(cluster)
            await put(cluster, A)
            assert (await world.exchange(client, VIP, 53)).server == f"{A}:8080"
        patch = {"endpoints": [{"addresses": [B], "nodeName": "node1"}]}
        await cluster.client.patch(ENDPOINTSLICES, "web-x", patch, namespace="default")
        async with start_proxy():
            assert (await world.exchange(client, VIP, 53)).server == f"{B}:8080"


async def test_only_flows_of_what_changed_are_deleted(world: World, cluster: Any) -> None:
    """Another Service's, one straight to the pod, and one whose endpoint stays."""
    await serve_udp(world)
    await udp_service(cluster)
    await put(cluster, A, B)
    ports = [{"name": "http", "port": 53, "protocol": "UDP"}]
    await cluster.service("other", "10.96.7.10", ports=ports)
    await cluster.endpoints(A, service="other", protocol="UDP")
    clients = [world.open_client(C, "UDP") for _ in range(8)]
    try:
        first = [(await world.exchange(client, VIP, 53)).server for client in clients]
        with world.open_client(C, "UDP") as other, world.open_client(C, "UDP") as direct:
            await world.exchange(other, "10.96.7.10", 53)
            await world.exchange(direct, A, 8080)
            assert f"{B}:8080" in first, "by chance once in 256 runs all eight are on the one that goes"
            before = flows(world)
            await put(cluster, B)
            gone = before - flows(world)
            assert {(ip, server) for ip, _, server in gone} <= {(VIP, A)}
            assert len(gone) == first.count(f"{A}:8080")
    finally:
        for client in clients:
            client.close()


def flows(world: World) -> set[tuple[str, int, str]]:
    with Conntrack(world.node_pin) as tracker:
        return {(flow.destination, flow.client_port, flow.server) for flow in tracker.udp_flows(socket.AF_INET)}


async def test_a_service_that_lost_all_endpoints_keeps_its_flows(world: World, cluster: Any) -> None:
    """There is nothing to move to, and the pod may still answer."""
    await serve_udp(world)
    await udp_service(cluster)
    await put(cluster, A)
    with world.open_client(C, "UDP") as client:
        assert (await world.exchange(client, VIP, 53)).server == f"{A}:8080"
        await put(cluster)
        assert (await world.exchange(client, VIP, 53)).server == f"{A}:8080"


async def test_established_tcp_lives_through_every_change(world: World, cluster: Any) -> None:
    """Its endpoint removed, no endpoint at all, the Service deleted."""
    await cluster.service()
    await cluster.endpoints(A, port=8081)
    async with world.conversation(C, A, VIP, 80) as goes_on:
        await cluster.endpoints(B, port=8081)
        await goes_on()
        await cluster.endpoints(port=8081)
        await goes_on()
        await cluster.delete(SERVICES, "web")
        await goes_on()


async def test_established_tcp_lives_through_restart_and_upgrade(world: World, start_proxy: Any) -> None:
    """The proxy ended, started again, and came back with a table of another shape."""
    async with AsyncExitStack() as stack:
        async with start_proxy(remove=False) as cluster:
            await cluster.service()
            await cluster.endpoints(A, port=8081)
            goes_on = await stack.enter_async_context(world.conversation(C, A, VIP, 80))
        await goes_on()
        async with start_proxy(remove=False):
            await goes_on()
        async with start_proxy(remove=False, masquerade_mark=0x1):
            await goes_on()
        await goes_on()
