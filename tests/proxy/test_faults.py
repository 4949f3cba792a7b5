"""What a proxy does when it cannot do its work: one line, the health port, tries again; and a busy minute in short.

``SEAMARK_SOAK_SECONDS=60 pytest tests/proxy/test_faults.py -k soak`` is the whole minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.compile.ruleset import NodeConfig
from seamark.linux import nft
from seamark.linux.conntrack import Conntrack
from seamark.linux.process import Result
from seamark.machinery.gvr import ENDPOINTSLICES
from seamark.proxy import proxy as proxy_module
from seamark.proxy.options import ProxyOptions
from seamark.proxy.proxy import ServiceProxy
from seamark.testing.clock import FakeClock, settle
from seamark.testing.networld import World

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
SOAK_SECONDS = float(os.environ.get("SEAMARK_SOAK_SECONDS", "3"))
CHANGES_A_SECOND = 200


class StubbornTable:
    """Refuses so many times, each time by the same words."""

    mended = 0

    def __init__(self, node: NodeConfig, refusals: list[str]) -> None:
        self.node = node
        self.refusals = refusals
        self.tried = 0

    def close(self) -> None:
        return None

    def is_new(self) -> bool:
        return False

    async def start(self, ports: Any) -> None:
        self.tried += 1
        if self.refusals:
            raise nft.NftError(self.refusals.pop(0))

    async def apply(self, changes: Any) -> int:
        return 0

    async def check(self) -> bool:
        return False


class StubbornBackend:
    mode = "nftables"
    tracked = False

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = refusals
        self.times: list[float] = []
        self.clock: FakeClock | None = None

    def open(self, node: NodeConfig, family: Any, namespace: Path | None) -> StubbornTable:
        assert self.clock is not None
        self.times.append(self.clock.monotonic())
        return StubbornTable(node, self.refusals)

    async def remove(self, families: Any, namespace: Path | None) -> bool:
        return False


async def test_a_kernel_that_refuses_is_told_once_and_tried_again(
    client: Client, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    backend = StubbornBackend(["nft: no such thing"] * 7 + ["nft: another thing"])
    backend.clock = clock
    node = NodeConfig("node1", (NODE,), ("10.244.0.0/16",), ("10.96.0.0/12",))
    proxy = ServiceProxy(
        node, client=client, namespace_pin=Path("/none"), clock=clock, options=ProxyOptions(backend=backend)
    )
    running = asyncio.create_task(proxy.run())
    while len(backend.times) < 1:
        await settle(20)
    status, found = proxy.monitor.health.report(node=False)
    assert (status, found["error"]) == (503, "nft: no such thing")
    while not proxy.ready.is_set():
        await clock.advance(1.0)
        await settle(20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [r.getMessage() for r in caplog.records if "not applied" in r.getMessage()] == [
        "rules not applied node=node1 error=nft: no such thing",
        "rules not applied node=node1 error=nft: another thing",
    ]
    pauses = [later - before for before, later in zip(backend.times, backend.times[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= proxy_module.MOST_RETRY + 2
    status, found = proxy.monitor.health.report(node=False)
    assert (status, "error" in found) == (200, False)


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(
    ("result", "message"),
    [
        (FileNotFoundError(), "nsenter: program not found"),
        (Result(127, "", "nsenter: failed to execute nft: No such file or directory"), "nft: program not found"),
        (Result(1, "", "Error: syntax error, unexpected typeof"), "nft: Error: syntax error, unexpected typeof"),
    ],
    ids=["nothing", "missing", "too old"],
)
async def test_nft_that_is_missing_or_old(
    world: World, monkeypatch: pytest.MonkeyPatch, result: Any, message: str
) -> None:
    async def run(*argv: str, stdin: str = "") -> Result:
        if isinstance(result, Exception):
            raise result
        found: Result = result
        return found

    monkeypatch.setattr(nft.process, "run", run)
    with pytest.raises(nft.NftError) as refused:
        await nft.apply_nft("add table ip x\n", world.node_pin)
    assert str(refused.value).startswith(message)


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.timeout(60 + SOAK_SECONDS)
async def test_soak_no_connection_fails_while_endpoints_churn(world: World, cluster: Any) -> None:
    """200 changes a second; one endpoint is there throughout, the others come and go, and so do other Services."""
    for pod in (A, B):
        await world.serve(pod, 8080)
    await cluster.service()
    await cluster.endpoints(A)
    await cluster.service("sticky", "10.96.7.10", sessionAffinity="ClientIP")
    await cluster.endpoints(A, service="sticky")
    begun, results = time.monotonic(), {"web": 0, "sticky": 0}
    failures: list[str] = []

    async def connect(name: str, ip: str) -> None:
        while time.monotonic() - begun < SOAK_SECONDS:
            answer = await world.ask(C, ip, 80, patience=0.9)  # less than a retransmission
            results[name] += 1
            if answer.result != "answer":
                failures.append(f"{name}: {answer.result} after {time.monotonic() - begun:.2f} s")

    clients = [asyncio.create_task(connect(*who)) for who in (("web", VIP), ("sticky", "10.96.7.10"))]
    turns = changes = 0
    while time.monotonic() - begun < SOAK_SECONDS:
        turns += 1
        for name in ("web", "sticky"):
            addresses = [A, B] if turns % 2 else [A]
            patch = {"endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in addresses]}
            await cluster.client.patch(ENDPOINTSLICES, f"{name}-x", patch, namespace="default")
            changes += 1
        due = begun + changes / CHANGES_A_SECOND
        await asyncio.sleep(max(0.001, due - time.monotonic()))
    await asyncio.gather(*clients)
    assert failures == []
    assert min(results.values()) > 20 * SOAK_SECONDS, "too few connections to say anything"
    assert changes > 50 * SOAK_SECONDS, "too few changes to say anything"


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("count", [0, 1, 5000])
async def test_any_number_of_endpoints(world: World, cluster: Any, count: int) -> None:
    protocol = "UDP" if count > 1 else "TCP"
    await cluster.service(protocol=protocol)
    if count:
        await world.serve(A, 8080)
    known = [A, *(f"10.244.{50 + n // 250}.{1 + n % 250}" for n in range(1, count))][:count]
    for number in range(0, count, 1000):
        addresses = known[number : number + 1000]
        body = {
            "metadata": {
                "name": f"web-{number}",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": protocol}],
            "endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in addresses],
        }
        await cluster.put(ENDPOINTSLICES, body)
    if count < 2:
        assert (await world.ask(B, VIP, 80)).result == ("answer" if count else "refused")
        return
    (rules,) = cluster.proxy._index.rules("IPv4").values()
    assert len(rules.internal.endpoints) == count
    for _ in range(100):
        with world.open_client(B, "UDP") as client:
            client.connect((VIP, 80))
            client.send(b"?")
    with Conntrack(world.node_pin) as tracker:
        chosen = {flow.server for flow in tracker.udp_flows(socket.AF_INET, destination=VIP)}
    assert chosen <= set(known)
    assert len(chosen) > 80, "a hundred of five thousand at random are hardly ever the same"


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_the_first_services_work_while_the_rest_load(
    world: World, start_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.serve(A, 8080)
    monkeypatch.setattr(proxy_module, "PIECE", 10)
    addresses = [f"10.96.8.{number}" for number in range(1, 36)]
    async with start_proxy() as first:
        for number, ip in enumerate(addresses):
            await first.service(f"s{number:02}", ip)
            await first.endpoints(A, service=f"s{number:02}")
    send, seen = ServiceProxy._load_piece, []

    async def watched(proxy: ServiceProxy, piece: Any) -> None:
        seen.append({ip for ip in addresses if (await world.ask(B, ip, 80, patience=0.1)).result == "answer"})
        assert not proxy.ready.is_set()
        await send(proxy, piece)

    monkeypatch.setattr(ServiceProxy, "_load_piece", watched)
    async with start_proxy():
        assert [len(found) for found in seen] == [10, 20, 30]
        assert {(await world.ask(B, ip, 80)).server for ip in addresses} == {f"{A}:8080"}
