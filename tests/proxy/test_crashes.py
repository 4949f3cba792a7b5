"""``kill -9`` at any point: before each single write to the kernel the proxy is gone; then it starts anew.

Whatever was reached, the next start makes the same rules as one from nothing, with no leftovers, and a connection that
was established goes on through all of it.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig, PortKey, PortRules, compile_ruleset
from seamark.linux.iptables import Iptables
from seamark.linux.ipvs import Ipvs, IpvsError
from seamark.linux.nfnetlink import Nfnetlink
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy import ipvstable, table
from seamark.proxy.backend import Backend, NftablesBackend, RuleTable
from seamark.proxy.iptablestable import IptablesBackend
from seamark.proxy.ipvstable import IpvsBackend
from seamark.testing.networld import World

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE = "172.30.0.11"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
CONFIG = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",))
WEB, OLD, NEW, STICKY = "10.96.7.9", "10.96.7.10", "10.96.7.11", "10.96.7.12"
BACKENDS = (NftablesBackend(), IptablesBackend("-legacy"), IptablesBackend("-nft"), IpvsBackend())
ENTRANCES: Mapping[Any, tuple[str, ...]] = {
    table: ("apply_nft",),
    Nfnetlink: ("apply", "add_rules", "delete_table"),
    Iptables: ("restore",),
    ipvstable: ("apply_nft", "put_addresses", "write_sysctls"),
    Ipvs: ("add_service", "set_service", "delete_service", "add_dest", "set_dest", "delete_dest", "set_timeouts"),
}
"""Where anything is written to the kernel, each a transaction of its own."""

Ports = Mapping[PortKey, PortRules]


class Killed(BaseException):
    """Nothing of ours runs after it, as nothing runs after SIGKILL."""


class Killer:
    """Kills before the ``at``-th write; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = -1
        self.writes = 0
        for place, names in ENTRANCES.items():
            for name in names:
                monkeypatch.setattr(place, name, self._watched(getattr(place, name)))

    def arm(self, at: int) -> None:
        self.at, self.writes = at, 0

    def _watched(self, write: Any) -> Any:
        async def later(*args: Any, **named: Any) -> Any:
            self._count()
            return await write(*args, **named)

        def now(*args: Any, **named: Any) -> Any:
            self._count()
            return write(*args, **named)

        return later if inspect.iscoroutinefunction(write) else now

    def _count(self) -> None:
        if self.writes == self.at:
            raise Killed
        self.writes += 1


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch)


def ports(**services: tuple[str, tuple[str, ...]]) -> Ports:
    objects: list[Any] = []
    for name, (ip, endpoints) in services.items():
        meta = {"name": name, "namespace": "default"}
        spec = {"clusterIP": ip, "ports": [{"name": "http", "port": 80}]}
        spec |= {"sessionAffinity": "ClientIP"} if name == "sticky" else {}
        objects.append(codec.convert({"metadata": meta, "spec": spec}, Service))
        piece = {
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8081}],
            "endpoints": [{"addresses": [pod], "nodeName": "node1"} for pod in endpoints],
        }
        objects.append(codec.convert(piece, EndpointSlice))
    return compile_ruleset(Snapshot.of(objects), CONFIG).ports


BEFORE = ports(web=(WEB, (A,)), old=(OLD, (A,)), sticky=(STICKY, (A,)))
AFTER = ports(web=(WEB, (B,)), new=(NEW, (A, B)), sticky=(STICKY, (A, B)))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: f"{b.mode}{getattr(b, 'variant', '')}")
async def test_killed_before_each_write_of_a_first_load(world: World, backend: Backend, killer: Killer) -> None:
    await world.serve(A, 8081)
    skip_unless_there(world, backend)
    wanted = await made_from_nothing(world, backend, BEFORE)
    writes = await count(killer, world, backend, lambda table: table.start(BEFORE))
    for at in range(writes):
        await killed(killer, at, world, backend, lambda table: table.start(BEFORE))
        await restarted(world, backend, BEFORE)
        assert state(world, backend) == wanted, f"killed before write {at} of {writes}"
        assert (await world.ask(C, WEB, 80)).server == f"{A}:8081"
        await backend.remove(["IPv4"], world.node_pin)
    assert nothing_left(world)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: f"{b.mode}{getattr(b, 'variant', '')}")
async def test_killed_before_each_write_of_a_change(world: World, backend: Backend, killer: Killer) -> None:
    skip_unless_there(world, backend)
    changes = {**dict.fromkeys(BEFORE.keys() - AFTER.keys()), **AFTER}
    wanted = await made_from_nothing(world, backend, AFTER)

    async def change(table: RuleTable) -> None:
        await table.apply(changes)

    killer.arm(-1)
    first = backend.open(CONFIG, "IPv4", world.node_pin)
    await first.start(BEFORE)
    killer.arm(-1)
    await change(first)
    writes = killer.writes
    first.close()
    await backend.remove(["IPv4"], world.node_pin)
    assert writes > 0
    for at in range(writes):
        running = backend.open(CONFIG, "IPv4", world.node_pin)
        await running.start(BEFORE)
        async with world.conversation(C, A, WEB, 80) as goes_on:
            await cut_short(killer, at, change(running))
            running.close()
            await goes_on()
            await restarted(world, backend, AFTER)
            await goes_on()
        assert state(world, backend) == wanted, f"killed before write {at} of {writes}"
        await is_after(world)
        await backend.remove(["IPv4"], world.node_pin)
    assert nothing_left(world)


async def is_after(world: World) -> None:
    """Servers are there only now: the conversation had a port of its own."""
    assert (await world.ask(C, OLD, 80, patience=0.1)).result == "timeout"
    for pod in (A, B):
        await world.serve(pod, 8081)
    assert {(await world.ask(C, WEB, 80)).server for _ in range(5)} == {f"{B}:8081"}
    assert {(await world.ask(C, NEW, 80)).server for _ in range(30)} == {f"{A}:8081", f"{B}:8081"}
    assert len({(await world.ask(C, STICKY, 80)).server for _ in range(10)}) == 1
    world.silence()


def skip_unless_there(world: World, backend: Backend) -> None:
    if backend.mode == "iptables" and shutil.which("iptables-restore", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        pytest.skip("iptables-restore is not installed")
    if backend.mode == "ipvs":
        try:
            Ipvs(world.node_pin).close()
        except IpvsError:
            pytest.skip("this kernel has no IPVS: make test-vm")


async def made_from_nothing(world: World, backend: Backend, wanted: Ports) -> Any:
    await restarted(world, backend, wanted)
    found = state(world, backend)
    await backend.remove(["IPv4"], world.node_pin)
    return found


async def restarted(world: World, backend: Backend, wanted: Ports) -> None:
    table = backend.open(CONFIG, "IPv4", world.node_pin)
    await table.start(wanted)
    table.close()


async def count(killer: Killer, world: World, backend: Backend, work: Callable[[RuleTable], Awaitable[None]]) -> int:
    killer.arm(-1)
    table = backend.open(CONFIG, "IPv4", world.node_pin)
    await work(table)
    table.close()
    writes = killer.writes
    await backend.remove(["IPv4"], world.node_pin)
    assert writes > 0
    return writes


async def killed(
    killer: Killer, at: int, world: World, backend: Backend, work: Callable[[RuleTable], Awaitable[None]]
) -> None:
    table = backend.open(CONFIG, "IPv4", world.node_pin)
    await cut_short(killer, at, work(table))
    table.close()


async def cut_short(killer: Killer, at: int, work: Awaitable[None]) -> None:
    killer.arm(at)
    try:
        with pytest.raises(Killed):
            await work
    finally:
        killer.arm(-1)


def state(world: World, backend: Backend) -> Any:
    """All that there is of ours, by what it is and not by the numbers it was given."""
    if backend.mode == "iptables":
        saved = world.run_on_node(f"iptables{backend.variant}-save")  # type: ignore[attr-defined]
        return sorted(re.sub(r" \[\d+:\d+\]", "", line) for line in saved.splitlines() if line[:1] in ":-")
    return shape(world), servers(world) if backend.mode == "ipvs" else None


def shape(world: World) -> dict[str, Any]:
    """The chains, and how many elements each set has. Not what clients are remembered, which is theirs, nor the ways to
    choose by affinity, which a table keeps once it had them.
    """
    found: dict[str, Any] = {}
    for item in json.loads(world.run_on_node("nft", "-j", "list", "ruleset"))["nftables"]:
        for kind in ("set", "map"):
            if kind in item and item[kind]["name"] not in ("aff", "kinds"):
                found[item[kind]["name"]] = len(item[kind].get("elem", []))
        if "chain" in item:
            found[f"chain {item['chain']['name']}"] = 0
        if "rule" in item:
            found[f"chain {item['rule']['chain']}"] += 1
    return {name: size for name, size in found.items() if not re.fullmatch(r"chain [ar]\d+_\d+", name)}


def servers(world: World) -> Any:
    with Ipvs(world.node_pin) as ipvs:
        found = {
            service: (
                settings.seconds,
                {(dest.ip, dest.port) for dest, told in ipvs.dests(service).items() if told.weight},
            )
            for service, settings in ipvs.services().items()
        }
    return found, world.run_on_node("ip", "-o", "-4", "address", "show", "to", "10.96.0.0/12").count("\n")


def nothing_left(world: World) -> bool:
    saved = world.run_on_node("iptables-save") if shutil.which("iptables-save") else ""
    links = world.run_on_node("ip", "link")
    return (
        "KUBE-" not in saved
        and "kube-ipvs0" not in links
        and "seamark" not in world.run_on_node("nft", "list", "tables")
    )
