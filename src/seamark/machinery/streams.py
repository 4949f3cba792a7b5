"""What the API server asks of a node: logs, exec, attach, connections into its pods.

The agent implements it, the composition root hands it over. One process today, an HTTPS kubelet API between machines
later: both sides see only this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LogRequest:
    """core/v1 PodLogOptions. ``tail_lines`` and ``since_seconds`` None = all; ``limit_bytes`` 0 = no limit."""

    namespace: str
    pod: str
    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    limit_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ExecRequest:
    namespace: str
    pod: str
    container: str
    command: tuple[str, ...]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@dataclass(frozen=True, slots=True)
class AttachRequest:
    namespace: str
    pod: str
    container: str
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@dataclass(frozen=True, slots=True)
class TerminalSize:
    width: int
    height: int


class ExecIO(Protocol):
    """The client's end of an exec session."""

    async def read_stdin(self) -> bytes:
        """The next input; ``b""`` = the client closed its input."""
        ...

    async def write_stdout(self, data: bytes) -> None: ...

    async def write_stderr(self, data: bytes) -> None: ...

    async def next_resize(self) -> TerminalSize:
        """Waits for the next terminal size; never returns once the session is over (cancel it)."""
        ...


class ByteStream(Protocol):
    """A connection. Both directions end by themselves; ConnectionError and OSError say that it broke."""

    async def read(self) -> bytes:
        """The next bytes; ``b""`` at their end."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """Nothing more will be written; reading goes on."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogFolder:
    """Names in a folder of a node's log files; those of folders end in a slash."""

    names: tuple[str, ...]


class NodeStreams(Protocol):
    """Errors are StatusError: NotFound for a pod or container, BadRequest for one that does not run."""

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]: ...

    async def log_file(self, path: str) -> LogFolder | bytes | None:
        """What the node has at this path below its log files; None for nothing."""
        ...

    async def exec(self, request: ExecRequest, io: ExecIO) -> int:
        """Runs the command to its end and returns its exit code (128+n for a signal)."""
        ...

    async def attach(self, request: AttachRequest, io: ExecIO) -> None:
        """Joins the input and output of a running container until it ends. Cancelled, it leaves the container alone."""
        ...

    async def port_forward(self, namespace: str, pod: str, port: int) -> ByteStream:
        """A connection to ``port`` on the loopback of the pod, as kubelet makes it. Raises StatusError."""
        ...

    async def dial(self, host: str, port: int, *, tls: bool) -> ByteStream:
        """A connection from the node to an address that it reaches: a pod's, its own. Raises OSError.

        Certificates are not verified, as in Kubernetes' proxy to pods and services.
        """
        ...
