"""Who is taken for a pod, which addresses serve node ports, health check node ports: on a real kernel."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig, compile_ruleset
from seamark.compile.tracer import Packet, trace
from seamark.linux import netns
from seamark.linux.sysctl import read_sysctl
from seamark.machinery.gvr import ENDPOINTSLICES, EVENTS_V1, NODES, SERVICES
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy.backend import NftablesBackend
from seamark.proxy.loopback import WithLoopbackPorts
from seamark.proxy.table import KernelTable
from seamark.proxy.userspacetable import UserspaceBackend
from seamark.testing.builders import make_node, to_create
from seamark.testing.networld import OUTSIDE, Answer, World

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE, VIP, SECOND = "172.30.0.11", "10.96.7.9", "192.0.2.7"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
LINKS = {A: "pod0", B: "pod1", C: "pod2", OUTSIDE: "uplink", NODE: ""}

Start = Callable[..., AbstractAsyncContextManager[Any]]


def snapshot() -> Snapshot:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    spec = {"clusterIP": VIP, "type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports}
    piece = {
        "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [B], "nodeName": "node1"}],
    }
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    return Snapshot.of([codec.convert(service, Service), codec.convert(piece, EndpointSlice)])


@pytest.mark.parametrize(
    "local",
    [
        pytest.param({"pod_interface_prefix": "pod"}, id="interface prefix"),
        pytest.param({"pod_bridge": "pod0"}, id="bridge"),
        pytest.param({"pod_cidrs": ("10.244.1.2/32",)}, id="a range"),
        pytest.param({}, id="nothing known"),
        pytest.param({"pod_bridge": "pod0", "masquerade_all": True}, id="masquerade all"),
    ],
)
@pytest.mark.parametrize("mark", [0x4000, 0x1])
async def test_who_is_masqueraded(world: World, local: dict[str, Any], mark: int) -> None:
    node = NodeConfig("node1", (NODE,), local.pop("pod_cidrs", ()), (), masquerade_mark=mark, **local)
    rules = compile_ruleset(snapshot(), node)
    table = KernelTable(node, Layout(), world.node_pin)
    try:
        await table.start(rules.ports)
        await world.serve(B, 8080)
        for source, link in LINKS.items():
            for destination, port in ((VIP, 80), (NODE, 30080)):
                wanted = trace(rules, Packet(source, destination, port, interface=link))
                answer = await world.ask(source, destination, port)
                assert answer.server in wanted.endpoints
                masqueraded = answer.client == NODE
                assert masqueraded == (answer.server in wanted.masqueraded or source == NODE), (source, destination)
    finally:
        table.close()


@pytest.mark.parametrize(
    ("config", "served"),
    [
        pytest.param({}, {NODE, SECOND}, id="all"),
        pytest.param({"node_ports_on_node_ips_only": True}, {NODE}, id="primary"),
        pytest.param({"node_port_cidrs": ("192.0.2.0/24", "127.0.0.0/8")}, {SECOND}, id="a range"),
        pytest.param({"node_port_cidrs": ("fd00::/8",)}, {NODE, SECOND}, id="ranges of the other family alone"),
    ],
)
async def test_addresses_that_serve_node_ports(world: World, config: dict[str, Any], served: set[str]) -> None:
    world.run_on_node("ip", "addr", "add", f"{SECOND}/32", "dev", "lo")
    node = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",), **config)
    rules = compile_ruleset(snapshot(), node)
    table = KernelTable(node, Layout(), world.node_pin)
    try:
        await table.start(rules.ports)
        await world.serve(B, 8080)
        found = {ip for ip in (NODE, SECOND) if (await world.ask(OUTSIDE, ip, 30080)).result == "answer"}
        assert found == served
        assert {ip for ip in (NODE, SECOND) if node.serves_node_ports_on(ip)} == served
    finally:
        table.close()


async def ask_health(world: World, address: str, port: int, *, source: str = OUTSIDE) -> tuple[str, dict[str, Any]]:
    """Head and JSON of one answer."""
    with world.open_client(source) as client:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (address, port))
        await loop.sock_sendall(client, b"GET /whatever HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while piece := await loop.sock_recv(client, 4096):
            data += piece
    head, _, body = data.decode().partition("\r\n\r\n")
    return head, json.loads(body) if body else {}


@pytest.fixture
async def balanced(start_proxy: Start) -> AsyncIterator[Any]:
    async with start_proxy() as cluster:
        await cluster.service(
            type="LoadBalancer",
            externalTrafficPolicy="Local",
            healthCheckNodePort=32100,
            ports=[{"name": "http", "port": 80, "nodePort": 30080}],
        )
        yield cluster


async def test_health_check_node_port(world: World, balanced: Any) -> None:
    head, found = await ask_health(world, NODE, 32100)
    assert head.startswith("HTTP/1.1 503 ")
    await balanced.endpoints(A, B, "10.244.2.2")
    head, found = await ask_health(world, NODE, 32100)
    shown = [line for line in head.split("\r\n") if not line.startswith("Date: ")]
    assert shown == [  # kube-proxy's, in its order
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        "X-Load-Balancing-Endpoint-Weight: 2",
        "Content-Length: 114",
        "Connection: close",
    ]
    assert found == {
        "service": {"namespace": "default", "name": "web"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
    await balanced.endpoints(A, ready=False, serving=True, terminating=True)
    assert (await ask_health(world, NODE, 32100))[0].startswith("HTTP/1.1 503 ")
    await balanced.delete(SERVICES, "web")
    assert (await world.ask(OUTSIDE, NODE, 32100)).result == "refused"


async def test_health_check_node_port_closes_with_the_policy(world: World, balanced: Any) -> None:
    assert (await ask_health(world, NODE, 32100))[1]["localEndpoints"] == 0
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    await balanced.service(type="LoadBalancer", externalTrafficPolicy="Cluster", ports=ports)
    assert (await world.ask(OUTSIDE, NODE, 32100)).result == "refused"


async def test_health_check_node_port_that_is_taken_makes_an_event_and_is_opened_later(
    world: World, start_proxy: Start
) -> None:
    async with start_proxy() as cluster:
        with netns.open_socket(world.node_pin, 2, 1) as taken:
            taken.bind((NODE, 32100))
            taken.listen()
            await cluster.service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32100)
            async with asyncio.timeout(5):
                while not (events := await cluster.client.list(EVENTS_V1)):  # noqa: ASYNC110 - written in the background
                    await asyncio.sleep(0.01)
            assert events[0]["reason"] == "FailedToStartServiceHealthcheck"
            assert "cannot listen on 0.0.0.0:32100" in events[0]["message"]
        async with asyncio.timeout(5):
            while (await world.ask(OUTSIDE, NODE, 32100)).result == "refused":  # noqa: ASYNC110 - tried each second
                await asyncio.sleep(0.05)
        assert (await ask_health(world, NODE, 32100))[1]["localEndpoints"] == 0


async def test_pod_range_of_the_node(world: World, start_proxy: Start, client: Any, tmp_path: Path) -> None:
    await client.create(NODES, to_create(make_node("node1", podCIDR="10.244.1.0/24", podCIDRs=["10.244.1.0/24"])))
    async with start_proxy(pod_cidrs=(), options={"pod_cidrs_of_node": True}) as cluster:
        await world.serve(B, 8080)
        await cluster.service()
        await cluster.endpoints(B)
        assert (await world.ask(A, VIP, 80)).client == A
        assert (await world.ask(OUTSIDE, VIP, 80)).client == NODE


@pytest.mark.parametrize("value", ["other-proxy", ""])
async def test_a_service_of_another_proxy_is_left_alone(world: World, cluster: Any, value: str) -> None:
    await world.serve(A, 8080)
    await cluster.service()
    await cluster.endpoints(A)
    assert (await world.ask(B, VIP, 80)).result == "answer"
    labels = {"service.kubernetes.io/service-proxy-name": value}
    before = len(cluster.proxy.applied)
    await cluster.client.patch(SERVICES, "web", {"metadata": {"labels": labels}}, namespace="default")
    await cluster.applied(before)
    assert (await world.ask(B, VIP, 80, patience=0.2)).result != "answer"


async def test_a_slice_of_a_headless_service_is_left_alone(world: World, cluster: Any) -> None:
    await world.serve(A, 8080)
    await cluster.service()
    await cluster.endpoints(A)
    before = len(cluster.proxy.applied)
    labels = {"service.kubernetes.io/headless": ""}
    await cluster.client.patch(ENDPOINTSLICES, "web-x", {"metadata": {"labels": labels}}, namespace="default")
    await cluster.applied(before)
    assert (await world.ask(B, VIP, 80)).result == "refused"


async def test_node_ports_on_loopback(world: World, start_proxy: Start) -> None:
    """By a forwarder, in the mode whose rules cannot; they come and go with the Service."""
    async with start_proxy(options={"backend": WithLoopbackPorts(NftablesBackend())}) as cluster:
        await world.serve(B, 8080)
        await cluster.service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
        assert (await on_loopback(world, 30080)).result == "refused"
        await cluster.endpoints(B)
        assert (await on_loopback(world, 30080)).server == f"{B}:8080"
        assert (await world.ask(OUTSIDE, NODE, 30080)).server == f"{B}:8080"
        await cluster.delete(SERVICES, "web")
        assert (await on_loopback(world, 30080)).result == "refused"


async def on_loopback(world: World, port: int) -> Answer:
    return await world.ask(NODE, "127.0.0.1", port)


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_the_userspace_mode_follows_changes(world: World, start_proxy: Start, protocol: str) -> None:
    async with start_proxy(options={"backend": UserspaceBackend()}) as cluster:
        for pod in (A, B):
            await world.serve(pod, 8080, protocol)
        await cluster.service(protocol=protocol)
        assert (await world.ask(C, VIP, 80, protocol)).result == "refused"
        await cluster.endpoints(A, protocol=protocol)
        with world.open_client(C, protocol) as client:
            first = await world.exchange(client, VIP, 80)
            assert first.server == f"{A}:8080"
            await cluster.endpoints(B, protocol=protocol)
            if protocol == "UDP":
                assert (await world.exchange(client, VIP, 80)).server == f"{B}:8080", "the flow is chosen anew"
        assert (await world.ask(C, VIP, 80, protocol)).server == f"{B}:8080"
        await cluster.delete(SERVICES, "web")
        assert (await world.ask(C, VIP, 80, protocol, patience=0.2)).result != "answer"


async def test_sysctls_are_those_of_the_node_alone(world: World, start_proxy: Start) -> None:
    name = "net.netfilter.nf_conntrack_tcp_timeout_established"
    before = read_sysctl(name)
    async with start_proxy(options={"sysctls": {name: "4321", "net.netfilter.nf_conntrack_nothing": "1"}}):
        async with asyncio.timeout(5):
            while world.run_on_node("sysctl", "-n", name) != "4321\n":  # noqa: ASYNC110 - written after the rules
                await asyncio.sleep(0.01)
    assert read_sysctl(name) == before != "4321"
