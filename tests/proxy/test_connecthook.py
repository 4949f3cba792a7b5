"""connect() of pods answered beside the rules: what goes by the hook, what falls through, and how it ends."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig
from seamark.compile.tracer import Packet
from seamark.linux import cgroups
from seamark.linux.bpf import BpfError, list_cgroup_links
from seamark.linux.connecthook import ConnectHook
from seamark.machinery.gvr import SERVICES
from seamark.proxy.backend import NftablesBackend
from seamark.proxy.connecthook import HookTable, WithConnectHook
from seamark.proxy.kernelview import read_view
from seamark.testing.cgroup import OwnCgroup, make_cgroup
from seamark.testing.networld import OUTSIDE, Answer, World

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(cgroups.find_unified() is None, reason="no cgroup2 is mounted"),
]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = PODS = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
REMOTE = "10.244.2.2"

Start = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def cgroup() -> Iterator[OwnCgroup]:
    with make_cgroup("seamark-pods") as made:
        yield made


@pytest.fixture
async def hooked(start_proxy: Start, cgroup: OwnCgroup) -> AsyncIterator[Any]:
    async with start_proxy(options={"backend": with_hook(cgroup.path)}) as cluster:
        yield cluster


def with_hook(cgroup: Path) -> WithConnectHook:
    return WithConnectHook(NftablesBackend(), cgroup)


async def serve_all(world: World, protocol: str = "TCP") -> None:
    for ip in (*PODS, REMOTE):
        await world.serve(ip, 8080, protocol)


async def ask(world: World, cgroup: OwnCgroup, source: str, protocol: str = "TCP", port: int = 80) -> Answer:
    """One connection of a process of the cgroup."""
    with cgroup.entered():
        client = world.open_client(source, protocol)
    with client:
        return await world.exchange(client, VIP, port, patience=0.5)


async def spread(world: World, cgroup: OwnCgroup, *, times: int = 60) -> Counter[str]:
    answers = [await ask(world, cgroup, C) for _ in range(times)]
    assert {(a.result, a.client) for a in answers} == {("answer", C)}
    return Counter(a.server.partition(":")[0] for a in answers)


def translated(world: World) -> int:
    """Connections to the Service's address that the rules have seen."""
    return world.run_on_node("conntrack", "-L", "-d", VIP).count(f"dst={VIP}")


async def test_pods_reach_every_endpoint_and_no_rule_sees_it(world: World, cgroup: OwnCgroup, hooked: Any) -> None:
    await serve_all(world)
    await hooked.service()
    await hooked.endpoints(A, B, REMOTE)
    assert set(await spread(world, cgroup)) == {A, B, REMOTE}
    assert translated(world) == 0
    assert (await world.ask(C, VIP, 80)).server
    assert translated(world) == 1, "who is not in the cgroup goes by the rules"


async def test_changes_reach_new_connections(world: World, cgroup: OwnCgroup, hooked: Any) -> None:
    await serve_all(world)
    await hooked.service()
    await hooked.endpoints(A)
    assert set(await spread(world, cgroup, times=5)) == {A}
    await hooked.endpoints(B)
    assert set(await spread(world, cgroup, times=5)) == {B}
    await hooked.endpoints()
    assert (await ask(world, cgroup, C)).result == "refused"
    await hooked.endpoints(A)
    assert set(await spread(world, cgroup, times=5)) == {A}
    await hooked.delete(SERVICES, "web")
    assert (await ask(world, cgroup, C)).result == "timeout"
    assert translated(world) == 0


async def test_a_pod_reaches_itself(world: World, cgroup: OwnCgroup, hooked: Any) -> None:
    await serve_all(world)
    await hooked.service()
    await hooked.endpoints(C)
    answer = await ask(world, cgroup, C)
    assert (answer.server, answer.client) == (f"{C}:8080", C), "as its own client: nothing has to come back by the node"


@pytest.mark.parametrize(
    ("protocol", "spec"),
    [
        pytest.param("TCP", {"sessionAffinity": "ClientIP"}, id="affinity"),
        pytest.param("UDP", {}, id="UDP"),
    ],
)
async def test_what_falls_through_to_the_rules(
    world: World, cgroup: OwnCgroup, hooked: Any, protocol: str, spec: dict[str, Any]
) -> None:
    await serve_all(world, protocol)
    await hooked.service(protocol=protocol, **spec)
    await hooked.endpoints(*PODS, protocol=protocol)
    answers = {(await ask(world, cgroup, C, protocol)).server for _ in range(20)}
    assert translated(world) == 20
    assert len(answers) == 1 if spec else len(answers) > 1


async def test_endpoints_of_another_node_alone_are_dropped_with_policy_local(
    world: World, cgroup: OwnCgroup, hooked: Any
) -> None:
    await serve_all(world)
    await hooked.service(internalTrafficPolicy="Local")
    await hooked.endpoints(REMOTE)
    assert (await ask(world, cgroup, C)).result == "timeout"
    await hooked.endpoints(REMOTE, A)
    assert set(await spread(world, cgroup, times=10)) == {A}


async def test_node_ports_and_outsiders_go_by_the_rules(world: World, cgroup: OwnCgroup, hooked: Any) -> None:
    await serve_all(world)
    await hooked.service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
    await hooked.endpoints(A)
    assert (await world.ask(OUTSIDE, NODE, 30080)).server == f"{A}:8080"
    with cgroup.entered():
        assert (await world.ask(C, NODE, 30080)).server == f"{A}:8080"


async def test_when_the_proxy_ends_the_rules_have_everything(
    world: World, cgroup: OwnCgroup, start_proxy: Start
) -> None:
    await serve_all(world)
    options = {"backend": with_hook(cgroup.path)}
    async with start_proxy(options=options, remove=False) as cluster:
        await cluster.service()
        await cluster.endpoints(A)
        assert (await ask(world, cgroup, C)).server == f"{A}:8080"
        assert translated(world) == 0
    assert (await ask(world, cgroup, C)).server == f"{A}:8080"
    assert translated(world) == 1
    async with start_proxy(options=options):
        assert (await ask(world, cgroup, C)).server == f"{A}:8080"
        assert translated(world) == 1, "the hook is there again"


async def test_no_hook_is_one_line_and_the_rules_go_on(
    world: World, start_proxy: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await serve_all(world)
    with caplog.at_level(logging.WARNING):
        async with start_proxy(options={"backend": with_hook(tmp_path / "none")}) as cluster:
            await cluster.service()
            await cluster.endpoints(A)
            assert (await world.ask(C, VIP, 80)).server == f"{A}:8080"
    (line,) = [record.getMessage() for record in caplog.records if "hook" in record.getMessage()]
    assert line == (
        f"no connect hook, the rules go on alone node=node1 family=IPv4 cgroup={tmp_path}/none "
        "error=No such file or directory"
    )


async def test_a_change_that_is_refused_ends_the_hook(
    cgroup: OwnCgroup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rather no hook than one that sends to endpoints of yesterday."""

    def refuse(_hook: ConnectHook, _change: object) -> None:
        raise BpfError(errno.ENOMEM, "bpf: change elements: Cannot allocate memory")

    table = HookTable(NodeConfig("node1", (), (), ()), "IPv4", None, cgroup.path)
    await table.start({})
    monkeypatch.setattr(ConnectHook, "apply", refuse)
    number = cgroup.path.stat().st_ino
    assert number in {link.cgroup for link in list_cgroup_links()}
    for _ in range(2):
        assert await table.apply({}) == 0
    assert number not in {link.cgroup for link in list_cgroup_links()}
    assert caplog.text.count("the rules go on alone") == 1


async def test_what_the_hook_says_is_shown(world: World, cgroup: OwnCgroup, hooked: Any) -> None:
    await hooked.service()
    await hooked.endpoints(A, B)
    node, packet = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ()), Packet(C, VIP, 80)
    view = await read_view(world.node_pin, Layout(), packet, node)
    assert {where: set(endpoints) for where, endpoints in view.hooks.items()} == {
        str(cgroup.path): {f"{A}:8080", f"{B}:8080"}
    }
    for other in (Packet(C, VIP, 81), Packet(C, VIP, 80, "UDP")):
        assert (await read_view(world.node_pin, Layout(), other, node)).hooks == {}
    assert (await read_view(world.pin_of(A), Layout(), packet, node)).hooks == {}, (
        "hooks of other nodes are not this one's"
    )
