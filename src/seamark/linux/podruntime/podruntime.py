"""``PodRuntime``: the Runtime contract on this machine.

It prepares (directories, ``config.json``, the link) and asks; a supervisor per pod does and remembers. This object
holds nothing but connections: after a restart it connects again and knows as much as before.

Needs root, ``ip``, ``nsenter`` and an OCI runtime with runc's command line. Where no cgroups are mounted, each
supervisor mounts the unified tree for itself, since runc insists on one; pods then run without limits, said once in
the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from seamark.linux import cgroups, netns
from seamark.linux.podruntime import hostports, layout, network
from seamark.linux.podruntime.cleanup import remove_pod
from seamark.linux.podruntime.connection import Connection, SupervisorError, connect
from seamark.linux.podruntime.seccomp import read_profile
from seamark.linux.podruntime.session import describe_failure, run_attach, run_session
from seamark.linux.podruntime.spec import (
    Surroundings,
    parse_capabilities,
    parse_user,
    render_exec,
    render_spec,
    select_processes,
    select_shared_memory,
    select_user,
)
from seamark.linux.podruntime.supervisors import start_supervisor
from seamark.linux.runtime import RUNTIME_DEFAULT, ContainerConfig, Mount, RuntimeFault, SandboxConfig, SandboxState
from seamark.machinery.clock import Clock
from seamark.machinery.streams import ExecIO, TerminalSize

log = logging.getLogger(__name__)

PROBE_OUTPUT = 10 * 1024
SHARED_MEMORY = "shm"
OCI_RUNTIMES = ("runc", "crun", "youki", "runsc", "kata-runtime")
"""Those that take runc's command line: what the handler of a RuntimeClass may name."""


class PodRuntime:
    """``state_dir`` is DATA/nodes/NODE; ``node_namespace`` the pin of the node's namespace, None for the machine's
    own; ``hidden`` are the directories that a host image must not show (DATA by default); ``program`` is the OCI
    runtime, by name or path.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        node_namespace: Path | None,
        clock: Clock,
        hidden: tuple[Path, ...] | None = None,
        program: str = "runc",
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._node = node_namespace.absolute() if node_namespace else None
        self._clock = clock
        data = self._state_dir.parent.parent if self._state_dir.parent.name == "nodes" else self._state_dir
        self._hidden = tuple(str(path.absolute()) for path in (hidden if hidden is not None else (data,)))
        self._connections: dict[str, Connection] = {}
        self._configs: dict[str, SandboxConfig] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._watchers: list[asyncio.Queue[str | None]] = []
        self._cgroups = cgroups.read_layout()
        if not self._cgroups.usable:
            log.warning("no cgroups are mounted on this machine: pods run without memory and cpu limits")
        self._program = program
        self._capabilities = parse_capabilities(Path("/proc/self/status").read_text())

    @property
    def version(self) -> str:
        program = find_program(self._program)
        return f"{Path(self._program).name}://{_version(program) if program else ''}"

    # ---- sandboxes

    async def create_sandbox(self, config: SandboxConfig) -> None:
        async with self._lock(config.uid):
            if self._connection(config.uid):
                return
            if layout.sandbox_directory(self._state_dir, config.uid).exists():
                await remove_pod(self._state_dir, config.uid, self._node)
            try:
                await self._create(config)
            except BaseException:
                await remove_pod(self._state_dir, config.uid, self._node)
                raise

    async def _create(self, config: SandboxConfig) -> None:
        program = self._select_program(config.handler)
        ip = "" if config.host_network else network.parse_ip(config.ip)
        sandbox = layout.sandbox_directory(self._state_dir, config.uid)
        sandbox.mkdir(mode=0o700, parents=True)
        description = {
            **layout.render_config(config),
            "node_namespace": str(self._node or ""),
            "runc": program,
            "cgroup": "" if self._cgroups.usable else cgroups.group_of(config.uid),
            "settings": ({} if config.host_network else network.POD_SYSCTLS)
            | {name.replace(".", "/"): value for name, value in config.sysctls},
        }
        (sandbox / "sandbox.json").write_text(json.dumps(description))
        for directory in config.memory:
            os.makedirs(directory, exist_ok=True)
        pid = await start_supervisor(sandbox)
        if ip:
            await network.attach(config.uid, ip, pid=pid, node=self._node)
            if config.host_ports:
                await hostports.open_ports(config.uid, ip, config.host_ports, node=self._node)
        (sandbox / "attached").touch()
        if not self._connection(config.uid):
            raise RuntimeFault("FailedCreatePodSandBox", f"pod {config.name}: its supervisor ended at once")

    def _select_program(self, handler: str) -> str:
        """Of the node, or what a RuntimeClass names: an OCI runtime's own name, never any program."""
        if handler and handler not in OCI_RUNTIMES:
            text = f'failed to get sandbox runtime: no runtime for "{handler}" is configured'
            raise RuntimeFault("FailedCreatePodSandBox", text)
        found = find_program(handler or self._program)
        if found is None:
            name = handler or self._program
            text = f"{name} is not installed: apt-get install {Path(name).name}"
            raise RuntimeFault("FailedCreatePodSandBox", text)
        return found

    async def remove_sandbox(self, uid: str) -> None:
        async with self._lock(uid):
            connection = self._connection(uid)
            self._connections.pop(uid, None)
            self._configs.pop(uid, None)
            await remove_pod(self._state_dir, uid, self._node, connection=connection)

    async def list_sandboxes(self) -> tuple[SandboxState, ...]:
        directory = layout.pods_directory(self._state_dir)
        uids = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []
        states = [await self.state(uid) for uid in uids]
        return tuple(state for state in states if state is not None)

    async def state(self, uid: str) -> SandboxState | None:
        connection = self._connection(uid)
        sandbox = layout.sandbox_directory(self._state_dir, uid)
        try:
            config = self._configs.get(uid) or layout.parse_config(json.loads((sandbox / "sandbox.json").read_text()))
        except FileNotFoundError:
            return None
        if connection:
            self._configs[uid] = config
            with contextlib.suppress(ConnectionResetError):
                return layout.parse_state(config, await connection.first_state(), alive=not connection.lost)
        try:
            recorded = json.loads((sandbox / "state.json").read_text())
        except FileNotFoundError:
            recorded = {}
        return layout.parse_state(config, recorded, alive=False)

    async def connect(self, uid: str, port: int) -> socket.socket:
        """IPv4 first, as a server on ``localhost`` most often has it, then IPv6."""
        namespace = Path(f"/proc/{int(self._alive(uid).state['pid'])}/ns/net")
        try:
            return await _connect_in(namespace, socket.AF_INET, ("127.0.0.1", port))
        except OSError as refused:
            try:
                return await _connect_in(namespace, socket.AF_INET6, ("::1", port))
            except OSError:
                raise refused from None

    async def inside(self, uid: str, path: Path) -> Path:
        try:
            state = await self._alive(uid).first_state()
        except ConnectionResetError as error:
            raise RuntimeFault("SandboxNotFound", f"pod uid {uid}: {error}") from error
        return Path(f"/proc/{int(state['pid'])}/root{path}")

    # ---- containers

    async def start_container(self, config: ContainerConfig) -> None:
        connection = self._alive(config.uid)
        sandbox = layout.sandbox_directory(self._state_dir, config.uid)
        key = layout.key_of(config.name, config.attempt)
        if any(layout.key_of(c["name"], c["attempt"]) == key for c in (await connection.first_state())["containers"]):
            return
        bundle = layout.bundle_directory(sandbox, config.name, config.attempt)
        group = cgroups.group_of(config.uid, key)
        try:
            bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
            (sandbox / SHARED_MEMORY).mkdir(exist_ok=True)
            around = self._surroundings(config, group, await connection.first_state())
            spec = render_spec(config, around)
            (bundle / "config.json").write_text(json.dumps(spec))
            Path(config.log_path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RuntimeFault("CreateContainerError", f"container {config.name}: {error}") from error
        try:
            await connection.request(
                "start",
                name=config.name,
                attempt=config.attempt,
                image=config.image.name,
                layers=list(config.image.rootfs),
                tmpfs=[[m.source, m.options] for m in (*config.mounts, around.shared_memory) if _is_shared_tmpfs(m)],
                memory_events=self._cgroups.memory_events(group),
                log_path=config.log_path,
                tty=config.tty,
                stdin=config.stdin,
                stdin_once=config.stdin_once,
            )
        except SupervisorError as error:
            raise RuntimeFault("RunContainerError", describe_failure(str(error))) from None
        except OSError as error:
            raise RuntimeFault("CreateContainerError", f"container {config.name}: {error}") from error

    def _surroundings(self, config: ContainerConfig, group: str, state: dict[str, Any]) -> Surroundings:
        sandbox = layout.sandbox_directory(self._state_dir, config.uid)
        pod = layout.parse_config(json.loads((sandbox / "sandbox.json").read_text()))
        name = config.image.user if config.user is None else str(config.user)
        account = parse_user(name or "0", _image_file(config, "etc/passwd"), _image_file(config, "etc/group"))
        return Surroundings(
            hostname=pod.hostname,
            user=select_user(config, account),
            cgroup_path=group,
            cgroup_version=self._cgroups.version if self._cgroups.usable else "v2",
            limits=frozenset(self._cgroups.controllers),
            hidden=self._hidden,
            capabilities=self._capabilities,
            processes=select_processes(pod, config, state),
            shared_memory=select_shared_memory(pod, str(sandbox / SHARED_MEMORY)),
            seccomp=read_profile(config.seccomp) if config.seccomp not in ("", RUNTIME_DEFAULT) else None,
        )

    async def signal_container(self, uid: str, name: str, signal: int) -> None:
        connection = self._connection(uid)
        container = await self._running(connection, name) if connection else None
        if connection and container:
            with contextlib.suppress(SupervisorError, OSError):  # it ended by itself meanwhile
                await connection.request("signal", key=container, signal=signal)

    # ---- commands

    async def exec(self, uid: str, name: str, command: tuple[str, ...], *, io: ExecIO, tty: bool, stdin: bool) -> int:
        connection = self._alive(uid)
        key = await self._running(connection, name)
        if key is None:
            raise RuntimeFault("ContainerNotRunning", f"container {name} is not running")
        attempt = int(key.rpartition("-")[2])
        bundle = layout.bundle_directory(layout.sandbox_directory(self._state_dir, uid), name, attempt)
        process = json.loads((bundle / "config.json").read_text())["process"]
        try:
            return await run_session(
                connection, key, render_exec(process, command, tty=tty), io=io, tty=tty, stdin=stdin
            )
        except ConnectionResetError as error:
            raise RuntimeFault("ContainerNotRunning", f"container {name}: {error}") from error

    async def attach(self, uid: str, name: str, *, io: ExecIO, stdin: bool, once: bool) -> None:
        connection = self._alive(uid)
        key = await self._running(connection, name)
        if key is None:
            raise RuntimeFault("ContainerNotRunning", f"container {name} is not running")
        try:
            await run_attach(connection, key, io=io, stdin=stdin, once=once)
        except ConnectionResetError as error:
            raise RuntimeFault("ContainerNotRunning", f"container {name}: {error}") from error

    async def probe_exec(self, uid: str, name: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        output = _Collected()
        work = asyncio.create_task(self.exec(uid, name, command, io=output, tty=False, stdin=False))
        timer = asyncio.create_task(self._clock.sleep(timeout))
        try:
            await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise TimeoutError(f"command {command[0]!r} timed out after {timeout:g} seconds")
            return await work, bytes(output.data)
        finally:
            timer.cancel()
            work.cancel()
            await asyncio.gather(work, timer, return_exceptions=True)

    async def memory(self, uid: str) -> dict[str, int]:
        state = await self.state(uid)
        running = [c for c in state.containers if c.status == "running"] if state is not None else []
        groups = {c.name: cgroups.group_of(uid, layout.key_of(c.name, c.attempt)) for c in running}
        found = {name: cgroups.working_set(self._cgroups, group) for name, group in groups.items()}
        return {name: used for name, used in found.items() if used is not None}

    # ---- changes

    def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._watchers.append(queue)
        return self._changes(queue)

    async def _changes(self, queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
        try:
            while (uid := await queue.get()) is not None:
                yield uid
        finally:
            self._watchers.remove(queue)

    async def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        for queue in self._watchers:
            queue.put_nowait(None)

    # ---- connections

    def _lock(self, uid: str) -> asyncio.Lock:
        if not uid or "/" in uid or uid in {".", ".."}:
            raise RuntimeFault("FailedCreatePodSandBox", f"uid: {uid!r} is no name of a directory")
        return self._locks.setdefault(uid, asyncio.Lock())

    def _connection(self, uid: str) -> Connection | None:
        connection = self._connections.get(uid)
        if connection and not connection.lost:
            return connection
        sandbox = layout.sandbox_directory(self._state_dir, uid)
        if not (sandbox / "attached").exists():  # half made when its creator died: nothing to adopt
            return None
        connection = connect(sandbox, lambda: self._changed(uid))
        if connection:
            self._connections[uid] = connection
        return connection

    def _alive(self, uid: str) -> Connection:
        connection = self._connection(uid)
        if connection is None:
            raise RuntimeFault("SandboxNotFound", f"pod uid {uid}: no live sandbox; create it first")
        return connection

    def _changed(self, uid: str) -> None:
        for queue in self._watchers:
            queue.put_nowait(uid)

    async def _running(self, connection: Connection, name: str) -> str | None:
        """The key of the running attempt."""
        for container in (await connection.first_state())["containers"]:
            if container["name"] == name and container["status"] == "running":
                return layout.key_of(name, container["attempt"])
        return None


class _Collected:
    """An ExecIO that keeps the first of both outputs and has no input."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def read_stdin(self) -> bytes:
        return b""

    async def write_stdout(self, data: bytes) -> None:
        self.data += data[: PROBE_OUTPUT - len(self.data)]

    async def write_stderr(self, data: bytes) -> None:
        await self.write_stdout(data)

    async def next_resize(self) -> TerminalSize:
        never: asyncio.Future[TerminalSize] = asyncio.get_running_loop().create_future()
        return await never


async def _connect_in(namespace: Path, family: int, address: tuple[str, int]) -> socket.socket:
    sock = netns.open_socket(namespace, family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def find_program(name: str) -> str | None:
    return shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@functools.cache
def _version(program: str) -> str:
    """``1.1.5``, from ``runc version 1.1.5+ds1``; asked once, however many nodes there are."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return words[2] if len(words) > 2 else ""


def _is_shared_tmpfs(mount: Mount) -> bool:
    return mount.kind == "tmpfs" and bool(mount.source)


def _image_file(config: ContainerConfig, path: str) -> str:
    """A file of the image, taken from its uppermost layer that has it."""
    for layer in reversed(config.image.rootfs):
        try:
            return Path(layer, path).read_text(errors="replace")
        except OSError:
            continue
    return ""
