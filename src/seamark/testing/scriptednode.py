"""A node that runs no pods: its logs and exec sessions follow a script, chosen by the command's first word.

For tests of everything between a client and ``machinery.streams``: WebSockets, SPDY, channels, exit codes, following
logs. Connections go to this process's own loopback, to the port that ``ports`` gives for the one asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from seamark.agent.connect import SocketStream
from seamark.machinery.status import StatusError, bad_request
from seamark.machinery.streams import AttachRequest, ByteStream, ExecIO, ExecRequest, LogFolder, LogRequest


class ScriptedNode:
    """Echoes, counts, fails and waits, by the command's first word."""

    def __init__(self) -> None:
        self.logged: list[LogRequest] = []
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.more = asyncio.Event()
        self.attached: list[AttachRequest] = []
        self.ports: dict[int, int] = {}
        self.dialled: list[tuple[str, int, bool]] = []
        self.log_files: dict[str, LogFolder | bytes] = {}

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.logged.append(request)
        if request.previous:
            raise bad_request(f'previous terminated container "{request.container}" in pod "p" not found')
        yield b"one\n"
        if request.follow:
            await self.more.wait()
            yield b"two\n"

    async def log_file(self, path: str) -> LogFolder | bytes | None:
        return self.log_files.get(path.strip("/"))

    async def exec(self, request: ExecRequest, io: ExecIO) -> int:
        match request.command[0]:
            case "cat":
                while data := await io.read_stdin():
                    await io.write_stdout(data)
            case "exit":
                await io.write_stderr(b"bye\n")
                return int(request.command[1])
            case "size":
                size = await io.next_resize()
                await io.write_stdout(f"{size.width}x{size.height}".encode())
            case "big":
                await io.write_stdout(b"x" * 1_000_000)
            case "refuse":
                raise StatusError(400, "BadRequest", "container c is not running")
            case "crash":
                raise RuntimeError("boom")
            case "sleep":
                self.started.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
        return 0

    async def attach(self, request: AttachRequest, io: ExecIO) -> None:
        """A container that greets and echoes; ``quit`` ends it, the end of its input too."""
        self.attached.append(request)
        if request.container == "refuse":
            raise bad_request("container refuse not running")
        await io.write_stdout(b"attached\n")
        if request.tty:
            size = await io.next_resize()
            await io.write_stdout(f"{size.width}x{size.height}\n".encode())
        else:
            await io.write_stderr(b"warned\n")
        try:
            while data := await io.read_stdin():
                await io.write_stdout(data)
                if b"quit" in data:
                    return
        finally:
            self.cancelled.set()

    async def port_forward(self, namespace: str, pod: str, port: int) -> ByteStream:
        try:
            return await self.dial("127.0.0.1", port, tls=False)
        except OSError as error:
            raise StatusError(500, "InternalError", f"port {port}: connection refused") from error

    async def dial(self, host: str, port: int, *, tls: bool) -> ByteStream:
        self.dialled.append((host, port, tls))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])
        return SocketStream(reader, writer)
