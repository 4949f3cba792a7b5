"""A node's namespace and a runtime in it, and proof afterwards that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seamark.linux import cgroups, netns
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.runtime import ContainerConfig, ContainerState, Image, SandboxConfig
from seamark.machinery.streams import TerminalSize

HOST_IMAGE = Image("seamark.local/host", "sha256:0", ("/",))
NODE_ADDRESS = "192.0.2.1"


class Client:
    """An ExecIO: types ``typed``, then waits or closes its input; keeps what it is shown."""

    def __init__(self, *typed: bytes, closes: bool = True) -> None:
        self.typed = list(typed)
        self.closes = closes
        self.out = b""
        self.err = b""
        self.sizes: asyncio.Queue[TerminalSize] = asyncio.Queue()
        self.seen = asyncio.Event()

    async def read_stdin(self) -> bytes:
        if self.typed:
            return self.typed.pop(0)
        if not self.closes:
            await asyncio.Event().wait()
        return b""

    async def write_stdout(self, data: bytes) -> None:
        self.out += data
        self.seen.set()

    async def write_stderr(self, data: bytes) -> None:
        self.err += data

    async def next_resize(self) -> TerminalSize:
        return await self.sizes.get()

    async def shown(self, text: bytes) -> None:
        while text not in self.out:
            self.seen.clear()
            await self.seen.wait()


@dataclass
class Node:
    """One node: its directory, its namespace, its runtime (``restart`` gives a fresh one, as after a crash)."""

    directory: Path
    pin: Path
    runtime: PodRuntime
    restarts: list[PodRuntime] = field(default_factory=list)

    def new_runtime(self) -> PodRuntime:
        runtime = PodRuntime(state_dir=self.directory, node_namespace=self.pin, clock=SystemClock())
        self.restarts.append(runtime)
        return runtime

    def uid(self, number: int) -> str:
        """Its own in each process: cgroups are named after it, and tests run side by side."""
        return f"uid-{os.getpid()}-{number}"

    def sandbox(self, number: int, **changes: Any) -> SandboxConfig:
        values: dict[str, Any] = {"hostname": f"pod-{number}", "ip": f"10.244.9.{number}"} | changes
        return SandboxConfig(self.uid(number), "default", f"pod-{number}", **values)

    def container(self, number: int, *argv: str, **changes: Any) -> ContainerConfig:
        values: dict[str, Any] = {"name": "main", "attempt": 0, "image": HOST_IMAGE, "env": ()} | changes
        log = self.directory / f"{number}-{values['name']}.log"
        return ContainerConfig(self.uid(number), argv=argv, log_path=str(log), **values)

    def log(self, number: int, name: str = "main") -> list[str]:
        """Lines without their time stamps."""
        text = (self.directory / f"{number}-{name}.log").read_text()
        return [line.partition(" ")[2] for line in text.split("\n") if line]

    async def until(
        self, number: int, condition: Callable[[tuple[ContainerState, ...]], bool]
    ) -> tuple[ContainerState, ...]:
        changes = self.runtime.changes()
        try:
            while True:
                state = await self.runtime.state(self.uid(number))
                if state and condition(state.containers):
                    return state.containers
                await anext(changes)
        finally:
            await changes.aclose()  # type: ignore[attr-defined]

    async def ended(self, number: int, name: str = "main", attempt: int = 0) -> ContainerState:
        def match(container: ContainerState) -> bool:
            return (container.name, container.attempt, container.status) == (name, attempt, "exited")

        containers = await self.until(number, lambda all: any(match(c) for c in all))
        return next(c for c in containers if match(c))

    async def command(self, number: int, *command: str) -> tuple[int, str]:
        code, output = await self.runtime.probe_exec(self.uid(number), "main", command, timeout=20)
        return code, output.decode()

    def links(self) -> list[str]:
        shown = subprocess.run(
            netns.command(self.pin, "ip", "-o", "link", "show", "type", "veth"), capture_output=True, text=True
        )
        return [line.split(": ")[1].split("@")[0] for line in shown.stdout.splitlines()]


def leftovers(directory: Path, uids: tuple[str, ...]) -> list[str]:
    """Every trace on the machine of pods whose files lie below ``directory``."""
    found = [
        f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        if str(directory).encode() in command and b"pytest" not in command:
            found.append(f"process {process.name} {command!r}")
        elif f"{directory}/nodes" in mounts:
            found.append(f"mount namespace of {process.name}")
    layout = cgroups.read_layout()
    found += [
        f"cgroup {mount}/{uid}"
        for mount in layout.mounts
        for uid in uids
        if Path(mount, cgroups.group_of(uid)).exists()
    ]
    return found


@pytest.fixture
def client() -> type[Client]:
    return Client


@pytest.fixture
def pin(tmp_path: Path) -> Iterator[Path]:
    pin = tmp_path / "run" / "node"
    netns.create(pin)
    try:
        # the address a node's own connections to its pods come from
        for arguments in (f"address add {NODE_ADDRESS}/32 dev lo", "link set dev lo up"):
            subprocess.run(netns.command(pin, "ip", *arguments.split()), check=True)
        yield pin
    finally:
        netns.remove(pin)


@pytest.fixture
async def node(tmp_path: Path, pin: Path) -> AsyncIterator[Node]:
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    directory = tmp_path / "nodes" / "node"
    directory.mkdir(parents=True)
    node = Node(directory, pin, PodRuntime(state_dir=directory, node_namespace=pin, clock=SystemClock()))
    uids: tuple[str, ...] = ()
    try:
        yield node
    finally:
        for runtime in (node.runtime, *node.restarts):
            await runtime.close()
        pods = directory / "pods"
        uids = tuple(entry.name for entry in pods.iterdir()) if pods.exists() else ()
        await remove_all(directory, pin)
        remaining = [*leftovers(tmp_path, uids), *node.links(), *(str(p) for p in pods.glob("*/sandbox"))]
        remaining = [trace for trace in remaining if str(pin) not in trace]
        assert remaining == []
