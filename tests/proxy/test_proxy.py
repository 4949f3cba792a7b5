"""The proxy on a real kernel: what packets do, from pods, from the node and from outside (TUTORIAL D and F)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig
from seamark.linux import nft
from seamark.linux.clock import SystemClock
from seamark.linux.nfnetlink import Nfnetlink
from seamark.machinery.gvr import ENDPOINTSLICES, EVENTS_V1, SERVICES
from seamark.proxy import unserved
from seamark.proxy.proxy import ServiceProxy
from seamark.proxy.table import KernelTable, describe_table
from seamark.testing.networld import OUTSIDE, World

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = PODS = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
REMOTE = "10.244.2.2"
WHO = [pytest.param(A, id="pod"), pytest.param(NODE, id="node"), pytest.param(OUTSIDE, id="outside")]


async def serve_all(world: World, *, port: int = 8080, protocol: str = "TCP") -> None:
    for ip in (*PODS, REMOTE):
        await world.serve(ip, port, protocol)


async def spread(world: World, source: str, destination: str, port: int = 80, *, times: int = 300) -> Counter[str]:
    answers = [await world.ask(source, destination, port) for _ in range(times)]
    assert {a.result for a in answers} == {"answer"}
    return Counter(a.server.partition(":")[0] for a in answers)


@pytest.mark.parametrize("source", WHO)
async def test_three_hundred_connections_spread_evenly(world: World, cluster: Any, source: str) -> None:
    await serve_all(world)
    await cluster.service()
    await cluster.endpoints(A, B, REMOTE)
    found = await spread(world, source, VIP)
    assert set(found) == {A, B, REMOTE}
    assert all(60 <= count <= 140 for count in found.values()), found  # 100 +- 5 standard deviations


@pytest.mark.parametrize("source", WHO)
async def test_node_port_serves_every_node_address(world: World, cluster: Any, source: str) -> None:
    world.run_on_node("ip", "addr", "add", "192.0.2.7/32", "dev", "lo")
    await serve_all(world)
    await cluster.service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
    await cluster.endpoints(A, B)
    for address in (NODE, "192.0.2.7"):
        assert set(await spread(world, source, address, 30080, times=30)) == {A, B}


async def test_pods_keep_their_address_and_others_are_masqueraded(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
    await cluster.endpoints(B)
    assert (await world.ask(A, VIP, 80)).client == A
    assert (await world.ask(OUTSIDE, VIP, 80)).client != OUTSIDE
    assert (await world.ask(OUTSIDE, NODE, 30080)).client != OUTSIDE
    assert (await world.ask(A, NODE, 30080)).client != A


async def test_a_pod_reaches_itself_through_its_service(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service()
    await cluster.endpoints(A)
    answer = await world.ask(A, VIP, 80)
    assert answer.server == f"{A}:8080"
    assert answer.client != A


@pytest.mark.parametrize("source", WHO)
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_without_endpoints_refused_at_once(world: World, cluster: Any, source: str, protocol: str) -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": protocol}]
    await cluster.service(type="NodePort", ports=ports)
    for destination, port in ((VIP, 80), (NODE, 30080)):
        answer = await world.ask(source, destination, port, protocol, patience=0.5)
        assert answer.result == "refused", (destination, port)
    assert not await_entries(world)


def await_entries(world: World) -> str:
    return world.run_on_node("conntrack", "-L", "-d", VIP)


async def test_unused_port_of_a_service_is_refused_and_an_unallocated_address_dropped(
    world: World, cluster: Any
) -> None:
    await serve_all(world)
    await cluster.service()
    await cluster.endpoints(A)
    assert (await world.ask(B, VIP, 81, patience=0.5)).result == "refused"
    assert (await world.ask(B, "10.96.200.200", 80, patience=0.3)).result == "timeout"


async def test_affinity_keeps_a_client_on_one_server_by_every_way_in(world: World, cluster: Any) -> None:
    await serve_all(world)
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    await cluster.service(type="NodePort", ports=ports, sessionAffinity="ClientIP")
    await cluster.endpoints(*PODS)
    for source in (*PODS, OUTSIDE, NODE):
        chosen = await spread(world, source, VIP, times=15) + await spread(world, source, NODE, 30080, times=15)
        assert len(chosen) == 1, source


async def test_parallel_first_connections_agree(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service(sessionAffinity="ClientIP")
    await cluster.endpoints(*PODS)
    answers = await asyncio.gather(*(world.ask(OUTSIDE, VIP, 80) for _ in range(100)))
    assert len({a.server for a in answers}) == 1


async def test_client_of_a_removed_endpoint_moves_at_once_and_sticks(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service(sessionAffinity="ClientIP")
    await cluster.endpoints(*PODS, REMOTE)
    sources = (OUTSIDE, NODE, *PODS)
    before = {source: next(iter(await spread(world, source, VIP, times=3))) for source in sources}
    gone = before[OUTSIDE]
    await cluster.endpoints(*(ip for ip in (*PODS, REMOTE) if ip != gone))
    after = {source: await spread(world, source, VIP, times=20) for source in sources}
    assert all(len(found) == 1 and gone not in found for found in after.values())
    assert all(set(after[s]) == {before[s]} for s in sources if before[s] != gone), "others must not move"
    await cluster.endpoints(*PODS, REMOTE)
    assert set(await spread(world, OUTSIDE, VIP, times=20)) == set(after[OUTSIDE]), "sticks though the old is back"


async def test_a_pod_is_unrouted_only_when_the_kernel_says_so(world: World, cluster: Any) -> None:
    await cluster.service()
    await cluster.endpoints(*PODS)
    await asyncio.wait_for(cluster.proxy.wait_unrouted(REMOTE), 1)  # never was an endpoint
    leaving = asyncio.create_task(cluster.proxy.wait_unrouted(A))
    await cluster.endpoints(A, B)
    assert not leaving.done()
    await cluster.endpoints(B)
    await asyncio.wait_for(leaving, 1)
    await cluster.endpoints(B, ready=False, serving=True, terminating=True)  # the last resort keeps nobody here
    await asyncio.wait_for(cluster.proxy.wait_unrouted(B), 1)


async def test_idle_affinity_ends_and_a_new_timeout_counts_at_once(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 3600}})
    await cluster.endpoints(*PODS)
    before = await spread(world, OUTSIDE, VIP, times=5)
    short = {"clientIP": {"timeoutSeconds": 1}}
    await cluster.service(sessionAffinity="ClientIP", sessionAffinityConfig=short)
    assert await spread(world, OUTSIDE, VIP, times=5) == before
    chosen = set()
    for _ in range(2):
        await asyncio.sleep(1.3)
        assert "172.30.0.100" not in world.run_on_node("nft", "list", "map", "ip", "seamark", "aff")
        chosen |= set(await spread(world, OUTSIDE, VIP, times=5))
    assert chosen <= set(PODS)


async def test_udp_flow_of_a_removed_endpoint_moves(world: World, cluster: Any) -> None:
    await serve_all(world, port=5353, protocol="UDP")
    await cluster.service(port=53, protocol="UDP")
    await cluster.endpoints(A, B, port=5353, protocol="UDP")
    with world.open_client(C, "UDP") as client:
        first = await world.exchange(client, VIP, 53)
        assert await world.exchange(client, VIP, 53) == first, "a flow stays where it is"
        gone = first.server.partition(":")[0]
        (left,) = {A, B} - {gone}
        await cluster.endpoints(left, port=5353, protocol="UDP")
        assert (await world.exchange(client, VIP, 53)).server == f"{left}:5353"


async def test_external_addresses_and_their_policy(world: World, cluster: Any) -> None:
    await serve_all(world)
    spec: dict[str, Any] = {"type": "NodePort", "externalIPs": ["192.0.2.10"], "externalTrafficPolicy": "Local"}
    await cluster.service(ports=[{"name": "http", "port": 80, "nodePort": 30080}], **spec)
    await cluster.endpoints(A, REMOTE)
    answers = [await world.ask(OUTSIDE, "192.0.2.10", 80) for _ in range(20)]
    assert {(a.server, a.client) for a in answers} == {(f"{A}:8080", OUTSIDE)}, "local endpoint, client kept"
    assert set(await spread(world, B, NODE, 30080, times=30)) == {A, REMOTE}, "a pod takes the cluster list"
    await cluster.endpoints(REMOTE)
    assert (await world.ask(OUTSIDE, NODE, 30080, patience=0.3)).result == "timeout"
    assert (await world.ask(NODE, NODE, 30080)).server == f"{REMOTE}:8080"


async def test_rules_survive_the_proxy_and_a_new_one_takes_them_over(world: World, start_proxy: Any) -> None:
    await serve_all(world)
    async with start_proxy(remove=False) as first:
        await first.service(sessionAffinity="ClientIP")
        await first.endpoints(*PODS)
        chosen = await spread(world, OUTSIDE, VIP, times=5)
    assert await spread(world, OUTSIDE, VIP, times=5) == chosen, "nobody runs, and it works"
    async with start_proxy() as second:
        assert second.proxy.mended == 0
        assert await spread(world, OUTSIDE, VIP, times=5) == chosen, "the client stays where it was"
        await second.endpoints(A, B, C, REMOTE)
        assert set(await spread(world, OUTSIDE, VIP, times=5)) == set(chosen)


async def test_no_connection_fails_while_a_proxy_starts_over_the_rules_of_another(
    world: World, start_proxy: Any
) -> None:
    await serve_all(world)
    async with start_proxy(remove=False) as first:
        await first.service()
        await first.endpoints(*PODS)
    results: Counter[str] = Counter()

    async def keep_asking() -> None:
        while True:
            results[(await world.ask(OUTSIDE, VIP, 80)).result] += 1

    asking = asyncio.create_task(keep_asking())
    starts = 0
    while results.total() < 200 or starts < 5:
        async with start_proxy(remove=False):
            starts += 1
    asking.cancel()
    assert set(results) == {"answer"}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("flush ruleset", id="flush ruleset"),
        pytest.param("delete table ip seamark", id="table deleted"),
        pytest.param("flush chain ip seamark dispatch", id="chain emptied"),
        pytest.param("flush map ip seamark cip", id="map emptied"),
    ],
)
async def test_foreign_damage_is_mended_within_seconds(world: World, cluster: Any, damage: str) -> None:
    await serve_all(world)
    await cluster.service()
    await cluster.endpoints(A)
    await nft.apply_nft(damage, world.node_pin)
    assert (await world.ask(B, VIP, 80, patience=0.2)).result != "answer"
    async with asyncio.timeout(4):
        while (await world.ask(B, VIP, 80, patience=0.2)).result != "answer":  # noqa: ASYNC110 - the kernel's time
            await asyncio.sleep(0.05)


async def test_a_change_over_foreign_damage_brings_everything_back(world: World, cluster: Any) -> None:
    await serve_all(world)
    await cluster.service()
    await cluster.endpoints(A)
    await nft.apply_nft("flush ruleset", world.node_pin)
    await cluster.service("other", "10.96.7.10")
    assert (await world.ask(B, VIP, 80)).server == f"{A}:8080"


async def test_foreign_tables_are_left_alone(world: World, start_proxy: Any) -> None:
    theirs = "add table ip theirs\nadd set ip theirs s { type ipv4_addr; }\nadd element ip theirs s { 192.0.2.1 }\n"
    await nft.apply_nft(theirs, world.node_pin)
    before = world.run_on_node("nft", "list", "ruleset")
    async with start_proxy() as cluster:
        await cluster.service()
        await cluster.endpoints(A)
        assert "table ip theirs" in world.run_on_node("nft", "list", "ruleset")
    assert world.run_on_node("nft", "list", "ruleset") == before


async def test_deleted_service_leaves_no_element(world: World, cluster: Any) -> None:
    empty = world.run_on_node("nft", "list", "ruleset")
    await cluster.service(sessionAffinity="ClientIP")
    await cluster.endpoints(A, B, REMOTE)
    await cluster.service("plain", "10.96.7.10", type="NodePort")
    await cluster.endpoints(A, service="plain")
    for service in ("web", "plain"):
        await cluster.delete(SERVICES, service)
        await cluster.client.delete(ENDPOINTSLICES, f"{service}-x", namespace="default")
    async with asyncio.timeout(4):
        while "10.244.1" in world.run_on_node("nft", "list", "ruleset"):  # noqa: ASYNC110 - swept within a second
            await asyncio.sleep(0.1)
    after = world.run_on_node("nft", "list", "ruleset")
    assert "10.96.7." not in after
    assert len(after) - len(empty) < 2000, "all that may stay is an affinity chain and its kind"


async def test_remove_works_without_a_run_and_without_the_namespace(
    world: World, start_proxy: Any, client: Any, tmp_path: Any
) -> None:
    async with start_proxy(remove=False) as cluster:
        await cluster.service()
    node = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",))
    for pin in (world.node_pin, tmp_path / "gone"):
        await ServiceProxy(node, client=client, namespace_pin=pin, clock=SystemClock()).remove()
    assert world.run_on_node("nft", "list", "ruleset") == ""


async def test_a_failure_is_retried_as_a_whole(world: World, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel refuses once does not stop what comes later, nor is the change lost."""
    await serve_all(world)
    await cluster.service()
    real, failures = KernelTable.apply, iter([OSError(105, "No buffer space available")])

    async def failing(table: KernelTable, changes: Any) -> int:
        for error in failures:
            raise error
        return await real(table, changes)

    monkeypatch.setattr(KernelTable, "apply", failing)
    await cluster.endpoints(A)
    assert (await world.ask(B, VIP, 80)).server == f"{A}:8080"
    assert next(failures, None) is None, "nothing failed: the test says nothing"


@pytest.mark.parametrize("conditions", [{"ready": False, "serving": False}, None], ids=["unready", "removed"])
async def test_affinity_entries_go_with_their_endpoint(world: World, cluster: Any, conditions: Any) -> None:
    """A client that stayed away meanwhile does not find its old endpoint again, but is chosen anew."""
    await serve_all(world)
    await cluster.service(sessionAffinity="ClientIP")
    left = []
    for pod in (A, B):
        await cluster.endpoints(pod)
        assert (await world.ask(C, VIP, 80)).server == f"{pod}:8080"
        if conditions is None:
            await cluster.endpoints(REMOTE)
        else:
            await cluster.endpoints(pod, **conditions)
        await cluster.endpoints(pod)
        with Nfnetlink(world.node_pin) as netlink:
            table = describe_table(Layout())
            slots = netlink.dump(table, "slots")
            left += [pick in slots for pick in netlink.dump(table, "aff").values()]
    assert not any(left)


async def test_how_long_a_change_took_is_told_from_its_commit(world: World, cluster: Any) -> None:
    await cluster.service()
    await cluster.endpoints(A)
    await cluster.endpoints(B)
    await cluster.delete(SERVICES, "web")
    told = cluster.proxy.monitor.metrics.render().decode()
    for resource, change in (("services", "added"), ("services", "removed"), ("endpointslices", "changed")):
        labels = f'change="{change}",commit_time="exact",resource="{resource}"'
        assert f"seamark_proxy_propagation_seconds_count{{{labels}}} 1.0" in told
    total = sum(
        float(line.split()[-1])
        for line in told.splitlines()
        if line.startswith("seamark_proxy_propagation_seconds_sum")
    )
    assert total > 0


async def test_a_service_without_ready_endpoints_makes_an_event(
    world: World, start_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "PATIENCE", 0.0)
    async with start_proxy() as cluster:
        await cluster.service(selector={"app": "x"})
        await cluster.endpoints(A, B, C, ready=False)
        async with asyncio.timeout(5):
            while not (events := await cluster.client.list(EVENTS_V1)):  # noqa: ASYNC110 - looked for each second
                await asyncio.sleep(0.02)
    assert [(e["type"], e["reason"], e["message"]) for e in events] == [
        ("Warning", "NoReadyEndpoints", "no ready endpoints: 0 of 3, selector app=x")
    ]
