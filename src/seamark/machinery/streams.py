"""What the API server asks of a node: logs and exec. The agent implements it, the composition root hands it over.

One process today, an HTTPS kubelet API between machines later: both sides see only this.
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


class NodeStreams(Protocol):
    """Errors are StatusError: NotFound for a pod or container, BadRequest for one that does not run."""

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]: ...

    async def exec(self, request: ExecRequest, io: ExecIO) -> int:
        """Runs the command to its end and returns its exit code (128+n for a signal)."""
        ...
