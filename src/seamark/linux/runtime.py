"""The runtime contract: what the agent asks of the machine to run a pod. No Kubernetes object crosses it.

``linux/podruntime/`` implements it (network namespace, overlay, runc, a supervisor per pod); ``testing/fakeruntime``
imitates it in memory. Rules:

* A sandbox is a pod's network namespace and its supervisor. Both outlive this process (DESIGN §4.8): after a restart
  ``list_sandboxes`` gives everything needed to adopt what runs.
* Every call is idempotent: creating what exists with the same key, or removing what is gone, succeeds.
* Container output goes to ``log_path`` in CRI format (``TIME stdout|stderr F|P text``), written by the supervisor,
  which rotates it by size (``log_path.1`` is the newest of the older ones).
* Failures raise RuntimeFault, whose ``reason`` is what kubectl shows (``CreateContainerError``, …).
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from seamark.machinery.streams import ExecIO


class RuntimeFault(Exception):
    """``reason`` goes into the container's waiting state, ``message`` beside it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Image:
    """A resolved image. ``rootfs`` are read-only layer directories, lowest first; ``binds`` are host paths shown
    read-only at the same place. Config fields as in the OCI image specification.
    """

    name: str
    digest: str
    rootfs: tuple[str, ...]
    binds: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = "/"
    user: str = ""
    size: int = 0  # bytes that were pulled; 0 where it came another way


class Images(Protocol):
    async def resolve(
        self,
        name: str,
        *,
        policy: Literal["Always", "IfNotPresent", "Never"],
        logins: tuple[bytes, ...] = (),
        pulling: Callable[[], None] = lambda: None,
    ) -> Image:
        """``logins``: Docker configurations (JSON) with credentials for registries. ``pulling`` is called before a
        registry is asked.

        Raises RuntimeFault with reason ErrImagePull, ErrImageNeverPull or InvalidImageName.
        """
        ...

    async def collect_garbage(self, node: str, named: frozenset[str], *, everything: bool = False) -> None:
        """Removes images that no pod of any node names, once the disk is too full, or ``everything`` of the kind.

        ``named``: by the pods of ``node``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    source: str
    target: str
    read_only: bool = False
    kind: Literal["bind", "tmpfs"] = "bind"
    options: str = ""  # of a tmpfs, as tmpfs(5) spells them


@dataclass(frozen=True, slots=True)
class HostPort:
    """``port`` of the node's address ``ip`` (empty: of any) leads to the pod's port ``target``."""

    protocol: str
    port: int
    target: int
    ip: str = ""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """``uid`` is the pod's and the key of everything below. ``ip`` without mask; empty with ``host_network``.

    ``share_pid``: the containers see each other's processes, and process 1 is the sandbox's. ``sysctls`` are of the
    network and ipc namespaces that are the pod's own, as sysctl(8) names them.
    """

    uid: str
    namespace: str
    name: str
    hostname: str
    ip: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_pid: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    handler: str = ""  # of the pod's RuntimeClass; empty for the node's own runtime
    memory: tuple[str, ...] = ()  # directories of the machine that the sandbox alone sees, kept in memory
    host_ports: tuple[HostPort, ...] = ()


RUNTIME_DEFAULT = "RuntimeDefault"


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """``attempt`` counts restarts from 0; (sandbox uid, name, attempt) is the key. ``argv`` is already expanded.

    ``target``: a running container whose processes this one sees as its own. ``seccomp``: empty for no filter,
    RUNTIME_DEFAULT, or the path of a profile (``linux.seccomp`` of an OCI spec, as JSON).
    """

    uid: str
    name: str
    attempt: int
    image: Image
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    log_path: str
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    only_given_groups: bool = False  # not those that the image's /etc/group gives the user
    unmasked_proc: bool = False
    seccomp: str = ""
    target: str = ""
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False  # the input ends with the first client that was attached to it
    memory_bytes: int = 0
    cpu_millis: int = 0


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Times are Unix seconds. ``exit_code`` is 128+n for a signal; ``oom`` when the kernel's killer struck."""

    name: str
    attempt: int
    status: Literal["created", "running", "exited"]
    image: str = ""
    pid: int = 0
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    oom: bool = False


@dataclass(frozen=True, slots=True)
class SandboxState:
    """``containers`` holds the newest attempt of each and the one before it."""

    config: SandboxConfig
    created: float
    alive: bool
    containers: tuple[ContainerState, ...] = field(default=())


class Runtime(Protocol):
    @property
    def version(self) -> str:
        """As a Node shows it: ``runc://1.1.5``. Container ids begin with the same name."""
        ...

    async def create_sandbox(self, config: SandboxConfig) -> None: ...

    async def remove_sandbox(self, uid: str) -> None:
        """Kills what still runs and removes namespace, overlay and supervisor (logs stay with their owner)."""
        ...

    async def list_sandboxes(self) -> tuple[SandboxState, ...]: ...

    async def state(self, uid: str) -> SandboxState | None: ...

    async def inside(self, uid: str, path: Path) -> Path:
        """Where this process finds what a live sandbox sees at ``path``. Raises RuntimeFault SandboxNotFound."""
        ...

    async def start_container(self, config: ContainerConfig) -> None:
        """Creates and starts. Raises RuntimeFault CreateContainerError or RunContainerError."""
        ...

    async def signal_container(self, uid: str, name: str, signal: int) -> None: ...

    async def exec(
        self, uid: str, name: str, command: tuple[str, ...], *, io: ExecIO, tty: bool, stdin: bool
    ) -> int: ...

    async def attach(self, uid: str, name: str, *, io: ExecIO, stdin: bool, once: bool) -> None:
        """Joins a running container's input and output until it ends; cancelled, it leaves the container alone.

        ``once``: the end of the client's input is the end of the container's.
        """
        ...

    async def connect(self, uid: str, port: int) -> socket.socket:
        """A connected, non-blocking socket to ``port`` on the pod's own loopback. Raises OSError, RuntimeFault."""
        ...

    async def probe_exec(self, uid: str, name: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Exit code and combined output (at most 10 KiB); raises TimeoutError after ``timeout`` seconds."""
        ...

    async def memory(self, uid: str) -> Mapping[str, int]:
        """Bytes that each running container holds and cannot simply drop; empty where nothing counts them."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """The uid of each sandbox in which a container started or ended, as it happens."""
        ...

    async def close(self) -> None:
        """Lets go of everything without ending any pod."""
        ...
