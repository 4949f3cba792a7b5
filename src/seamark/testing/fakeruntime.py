"""A runtime and an image store in memory: the contract of ``linux/runtime.py`` without a kernel.

``FakeRuntime`` starts containers as their ``Behaviour`` says (by container name; the default runs until SIGTERM),
writes their output to the log file in CRI format, and records what was asked of it. A test ends a container with
``finish``, kills a sandbox with ``lose``, and gives an exec its answer with ``answers``. Time is the clock's.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from seamark.linux.runtime import (
    ContainerConfig,
    ContainerState,
    Image,
    RuntimeFault,
    SandboxConfig,
    SandboxState,
)
from seamark.machinery.clock import Clock
from seamark.machinery.streams import ExecIO

ExecAnswer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Of one container. ``runs`` None: until a signal. ``term_delay`` None: SIGTERM does nothing."""

    start_delay: float = 0.0
    fault: RuntimeFault | None = None
    output: tuple[str, ...] = ()
    message: str = ""  # for terminationMessagePath
    runs: float | None = None
    exit_code: int = 0
    oom: bool = False
    term_delay: float | None = 0.0


@dataclass(slots=True)
class _Sandbox:
    config: SandboxConfig
    created: float
    alive: bool = True
    attempts: dict[tuple[str, int], ContainerState] = field(default_factory=dict)


class FakeRuntime:
    version = "fake://1.0"

    def __init__(self, clock: Clock) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.answers: dict[tuple[str, ...], ExecAnswer | Callable[[], ExecAnswer]] = {}
        self.started: list[ContainerConfig] = []
        self.signals: list[tuple[str, int]] = []  # (container, number)
        self.removed: list[str] = []
        self.memory_used: dict[str, int] = {}
        self.attached: list[tuple[str, bool]] = []  # (container, once)
        self._clock = clock
        self._sandboxes: dict[str, _Sandbox] = {}
        self._listeners: list[asyncio.Queue[str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def create_sandbox(self, config: SandboxConfig) -> None:
        await asyncio.sleep(0)
        self._sandboxes.setdefault(config.uid, _Sandbox(config, self._clock.time()))

    async def remove_sandbox(self, uid: str) -> None:
        await asyncio.sleep(0)
        if self._sandboxes.pop(uid, None) is not None:
            self.removed.append(uid)

    async def list_sandboxes(self) -> tuple[SandboxState, ...]:
        return tuple(self._state(sandbox) for sandbox in self._sandboxes.values())

    async def state(self, uid: str) -> SandboxState | None:
        sandbox = self._sandboxes.get(uid)
        return self._state(sandbox) if sandbox else None

    async def inside(self, uid: str, path: Path) -> Path:
        if uid not in self._sandboxes:
            raise RuntimeFault("SandboxNotFound", f"no sandbox {uid}")
        return path

    async def start_container(self, config: ContainerConfig) -> None:
        behaviour = self.behaviours.get(config.name, Behaviour())
        await self._clock.sleep(behaviour.start_delay)
        if behaviour.fault is not None:
            raise behaviour.fault
        sandbox = self._sandboxes.get(config.uid)
        if sandbox is None:
            raise RuntimeFault("CreateContainerError", f"no sandbox {config.uid}")
        key = (config.name, config.attempt)
        if key in sandbox.attempts:
            return
        self.started.append(config)
        now = self._clock.time()
        sandbox.attempts[key] = ContainerState(config.name, config.attempt, "running", config.image.name, 4242, now)
        _write_output(config, behaviour, now)
        self._tell(config.uid)
        if behaviour.runs is not None:
            self._later(behaviour.runs, config.uid, key, behaviour.exit_code, oom=behaviour.oom)

    async def signal_container(self, uid: str, name: str, signal_number: int) -> None:
        self.signals.append((name, signal_number))
        key = self._running(uid, name)
        if key is None:
            return
        behaviour = self.behaviours.get(name, Behaviour())
        if signal_number == signal.SIGKILL:
            self._end(uid, key, 137)
        elif behaviour.term_delay is not None:
            code = behaviour.exit_code or 128 + signal_number
            self._later(behaviour.term_delay, uid, key, code)

    async def exec(self, uid: str, name: str, command: tuple[str, ...], *, io: ExecIO, tty: bool, stdin: bool) -> int:
        if self._running(uid, name) is None:
            raise RuntimeFault("ExecError", f"container {name} does not run")
        if command == ("cat",) and stdin:
            while data := await io.read_stdin():
                await io.write_stdout(data)
            return 0
        code, output = self._answer(command)
        await (io.write_stdout(output) if code == 0 else io.write_stderr(output))
        return code

    async def attach(self, uid: str, name: str, *, io: ExecIO, stdin: bool, once: bool) -> None:
        """A container that echoes what is typed, until that ends."""
        if self._running(uid, name) is None:
            raise RuntimeFault("ContainerNotRunning", f"container {name} is not running")
        self.attached.append((name, once))
        while stdin and (data := await io.read_stdin()):
            await io.write_stdout(data)

    async def connect(self, uid: str, port: int) -> socket.socket:
        """All pods share this process's loopback."""
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def probe_exec(self, uid: str, name: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        if self._running(uid, name) is None:
            raise RuntimeFault("ExecError", f"container {name} does not run")
        return self._answer(command)

    async def memory(self, uid: str) -> Mapping[str, int]:
        """As ``memory_used`` has it, by container name."""
        sandbox = self._sandboxes.get(uid)
        running = [name for (name, _), c in sandbox.attempts.items() if c.status == "running"] if sandbox else []
        return {name: self.memory_used[name] for name in running if name in self.memory_used}

    def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(queue)
        return self._changes(queue)

    async def _changes(self, queue: asyncio.Queue[str]) -> AsyncIterator[str]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def finish(self, uid: str, name: str, code: int, *, oom: bool = False) -> None:
        """The running attempt of a container ends now."""
        key = self._running(uid, name)
        assert key is not None, f"{name} does not run in {uid}"
        self._end(uid, key, code, oom=oom)

    def lose(self, uid: str) -> None:
        """The sandbox's supervisor dies, and all that ran below it."""
        self._sandboxes[uid].alive = False
        self._tell(uid)

    def _state(self, sandbox: _Sandbox) -> SandboxState:
        """The newest attempt of each container and the one before it, as the contract says."""
        kept: list[ContainerState] = []
        for name in {name for name, _ in sandbox.attempts}:
            of_name = sorted((k for k in sandbox.attempts if k[0] == name), key=lambda k: -k[1])
            kept += [sandbox.attempts[key] for key in of_name[:2]]
        return SandboxState(sandbox.config, sandbox.created, sandbox.alive, tuple(kept))

    def _running(self, uid: str, name: str) -> tuple[str, int] | None:
        sandbox = self._sandboxes.get(uid)
        attempts = sandbox.attempts if sandbox else {}
        return next((k for k, c in attempts.items() if k[0] == name and c.status == "running"), None)

    def _later(self, seconds: float, uid: str, key: tuple[str, int], code: int, *, oom: bool = False) -> None:
        async def end() -> None:
            await self._clock.sleep(seconds)
            self._end(uid, key, code, oom=oom)

        task = asyncio.ensure_future(end())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, uid: str, key: tuple[str, int], code: int, *, oom: bool = False) -> None:
        sandbox = self._sandboxes.get(uid)
        if sandbox is None or sandbox.attempts[key].status != "running":
            return
        ended: Literal["exited"] = "exited"
        now = self._clock.time()
        sandbox.attempts[key] = replace(sandbox.attempts[key], status=ended, finished=now, exit_code=code, oom=oom)
        self._tell(uid)

    def _answer(self, command: tuple[str, ...]) -> ExecAnswer:
        found = self.answers.get(command, (127, f"{command[0]}: not found\n".encode()))
        return found() if callable(found) else found

    def _tell(self, uid: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(uid)


def _write_output(config: ContainerConfig, behaviour: Behaviour, now: float) -> None:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    with Path(config.log_path).open("a") as log:
        log.writelines(f"{stamp} stdout F {line}\n" for line in behaviour.output)
    target = "/dev/termination-log"
    source = next((mount.source for mount in config.mounts if mount.target == target), None)
    if behaviour.message and source:
        Path(source).write_text(behaviour.message)


class FakeImages:
    """Knows the images of ``known``; anything else is ErrImagePull, as from a registry that lacks it. Those of
    ``pulled`` take so many seconds of the clock to come.
    """

    def __init__(self, clock: Clock, known: Mapping[str, Image] | None = None) -> None:
        self.clock = clock
        self.known: dict[str, Image] = dict(known or {})
        self.pulled: dict[str, float] = {}
        self.collected: list[tuple[frozenset[str], bool]] = []
        self.asked: list[tuple[str, str]] = []

    def add(self, name: str, *command: str) -> Image:
        image = Image(name, f"sha256:{'0' * 63}{len(self.known) % 10}", rootfs=("/",), command=command or ("serve",))
        self.known[name] = image
        return image

    async def resolve(
        self,
        name: str,
        *,
        policy: Literal["Always", "IfNotPresent", "Never"],
        logins: tuple[bytes, ...] = (),
        pulling: Callable[[], None] = lambda: None,
    ) -> Image:
        self.logins = logins
        if name in self.pulled:
            pulling()
            await self.clock.sleep(self.pulled[name])
        self.asked.append((name, policy))
        if name not in self.known:
            raise RuntimeFault("ErrImagePull", f"{name}: not found")
        return self.known[name]

    async def collect_garbage(self, node: str, named: frozenset[str], *, everything: bool = False) -> None:
        self.collected.append((named, everything))
