"""One proxy, one number of Services: everything that is measured of it, in a namespace world of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.proxy_beside.objects import (
    CLIENT,
    ENDPOINT_RANGE,
    NODE,
    PORT,
    PROBE,
    SERVER,
    Obj,
    cluster_ip,
    endpoint_slice,
    node,
    service,
)
from bench.proxy_beside.proxies import Kind, Running
from conformance.proxy.api import ProxyApi, running_api

from seamark.linux import netns
from seamark.testing.networld import World, make_world

API_PORT = 6690
SAMPLE = 100
"""So many Services are asked, evenly spread and with the last, to tell that all are in force."""


@dataclass
class Figures:
    """Seconds, CPU seconds, MB; ``change_cpu`` and ``burst_cpu`` are those of one change; NaN: not measured."""

    cold: float = float("nan")
    cold_cpu: float = float("nan")
    memory: float = float("nan")
    restart: float = float("nan")
    changes: list[float] = field(default_factory=list)
    change_cpu: float = float("nan")
    lags: list[float] = field(default_factory=list)
    burst_cpu: float = float("nan")
    burst_rate: float = float("nan")
    setup: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    services: int
    changes: int
    burst_seconds: int
    connects: int


class Prober:
    """The client's process, one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: Obj, *, patience: float = 120.0) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        async with asyncio.timeout(patience):
            return json.loads(await self._process.stdout.readline())

    async def until(self, numbers: Sequence[int], turn: int) -> float:
        """The moment when the last of these Services led to its endpoints of that turn."""
        targets = [[cluster_ip(number), 80, f"10.{200 + turn % 2}."] for number in numbers]
        return float(str(await self.ask({"until": targets})))


class Bench:
    """``turns``: where each Service's endpoints are."""

    def __init__(self, plan: Plan, kind: Kind, api: ProxyApi, prober: Prober, world: World, directory: Path) -> None:
        self.plan, self.kind, self.api = plan, kind, api
        self.prober, self.world, self.directory = prober, world, directory
        self.turns = [0] * plan.services
        self.figures = Figures()
        self.started: list[Running] = []
        self.kubeconfig = api.write_kubeconfig(directory / "kubeconfig")

    async def measure(self) -> Figures:
        await self.load()
        try:
            proxy = await self.start_cold()
            await self.time_changes(proxy)
            if self.plan.connects:
                await self.time_setup()
            proxy.kill()
            proxy = await self.restart()
            if self.plan.burst_seconds:
                await self.time_burst(proxy)
        finally:
            for started in self.started:
                started.kill()
        return self.figures

    async def load(self) -> None:
        await self.api.put(node())
        for number in range(self.plan.services):
            await self.api.put(service(number))
            await self.api.put(endpoint_slice(number, 0))
        for number, affinity in ((self.plan.services, False), (self.plan.services + 1, True)):
            await self.api.put(service(number, affinity=affinity))
            await self.api.put(endpoint_slice(number, 0, endpoints=100))

    def run(self, period: str) -> Running:
        config = self.kind.write_config(self.directory, self.kubeconfig, period)
        self.started.append(Running(self.kind, self.world.node_pin, config, self.directory / "proxy.log"))
        return self.started[-1]

    async def start_cold(self) -> Running:
        count = self.plan.services
        sample = sorted({place * (count - 1) // (SAMPLE - 1) for place in range(SAMPLE)})
        began = time.monotonic()
        proxy = self.run(self.kind.periods[0])
        self.figures.cold = await self.prober.until(sample, 0) - began
        await asyncio.sleep(0.5)
        self.figures.cold_cpu, self.figures.memory = proxy.cpu(), proxy.memory()
        return proxy

    async def change(self, number: int) -> float:
        """Seconds from before the write to the first connection that reaches a new endpoint."""
        self.turns[number] += 1
        began = time.monotonic()
        told = asyncio.create_task(self.prober.until([number], self.turns[number]))
        await self.api.put(endpoint_slice(number, self.turns[number]))
        return await told - began

    async def time_changes(self, proxy: Running) -> None:
        await self.change(PROBE)
        await asyncio.sleep(1)
        before = proxy.cpu()
        for turn in range(self.plan.changes):
            self.figures.changes.append(await self.change((turn * 7919 + 1) % self.plan.services))
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        self.figures.change_cpu = (proxy.cpu() - before) / self.plan.changes
        self.figures.memory = max(self.figures.memory, proxy.memory())

    async def time_setup(self) -> None:
        count = self.plan.services
        every = [[cluster_ip(number), 80] for number in range(count)]
        targets = {
            "direct": [[SERVER, PORT]],
            "direct again": [[SERVER, PORT]],
            "one Service": [[cluster_ip(PROBE), 80]],
            "any Service": every,
            "100 endpoints": [[cluster_ip(count), 80]],
            "100 endpoints, affinity": [[cluster_ip(count + 1), 80]],
        }
        told = await self.prober.ask({"setup": targets, "count": self.plan.connects})
        assert isinstance(told, dict)
        self.figures.setup = {str(name): float(value) for name, value in told.items()}

    async def restart(self) -> Running:
        """A slice changes while no proxy runs: in force as soon as the next one has caught up."""
        self.turns[PROBE] += 1
        await self.api.put(endpoint_slice(PROBE, self.turns[PROBE]))
        began = time.monotonic()
        proxy = self.run(self.kind.periods[1])
        self.figures.restart = await self.prober.until([PROBE], self.turns[PROBE]) - began
        return proxy

    async def time_burst(self, proxy: Running) -> None:
        """100 changes a second in turn; those of one Service beside them are timed."""
        await asyncio.sleep(2)
        before, began = proxy.cpu(), time.monotonic()
        end = began + self.plan.burst_seconds
        probing = asyncio.create_task(self._probe(end))
        done = 0
        while time.monotonic() < end:
            number = 1 + done % (self.plan.services - 1)
            self.turns[number] += 1
            await self.api.put(endpoint_slice(number, self.turns[number]))
            done += 1
            await asyncio.sleep(max(0.0, began + done / 100 - time.monotonic()))
        self.figures.burst_rate = done / (time.monotonic() - began)
        await probing
        self.figures.burst_cpu = (proxy.cpu() - before) / (done + len(self.figures.lags))

    async def _probe(self, end: float) -> None:
        while time.monotonic() < end:
            self.figures.lags.append(await self.change(PROBE))
            await asyncio.sleep(0.1)


@asynccontextmanager
async def opened(plan: Plan, kind: Kind, directory: Path) -> AsyncIterator[Bench]:
    with make_world(directory / "netns", node=NODE, pods=(CLIENT, SERVER)) as world:
        _route_endpoints(world)
        program = (sys.executable, "-m", "bench.proxy_beside.prober")
        server = await _start(world, SERVER, (*program, "serve", str(PORT)))
        client = await _start(world, CLIENT, program)
        try:
            assert server.stdout is not None
            await server.stdout.readline()
            async with running_api(world.node_pin, API_PORT) as api:
                yield Bench(plan, kind, api, Prober(client), world, directory)
        finally:
            for process in (server, client):
                process.kill()
                await process.wait()


def _route_endpoints(world: World) -> None:
    """The server has every address an endpoint may have."""
    link = next(name for name in ("pod0", "pod1") if SERVER in world.run_on_node("ip", "route", "show", "dev", name))
    world.run_on_node("ip", "route", "add", ENDPOINT_RANGE, "via", SERVER, "dev", link, "onlink")
    local = netns.command(world.pin_of(SERVER), "ip", "route", "add", "local", ENDPOINT_RANGE, "dev", "lo")
    subprocess.run(local, check=True)


async def _start(world: World, ip: str, argv: tuple[str, ...]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = netns.command(world.pin_of(ip), *argv)
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 24)
