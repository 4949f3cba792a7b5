"""A node that runs no pods: its logs and exec sessions follow a script, chosen by the command's first word.

For tests of everything between a client and ``machinery.streams``: WebSockets, channels, exit codes, following logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from seamark.machinery.status import StatusError, bad_request
from seamark.machinery.streams import ExecIO, ExecRequest, LogRequest


class ScriptedNode:
    """Echoes, counts, fails and waits, by the command's first word."""

    def __init__(self) -> None:
        self.logged: list[LogRequest] = []
        self.cancelled = asyncio.Event()
        self.more = asyncio.Event()

    async def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.logged.append(request)
        if request.previous:
            raise bad_request(f'previous terminated container "{request.container}" in pod "p" not found')
        yield b"one\n"
        if request.follow:
            await self.more.wait()
            yield b"two\n"

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
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
        return 0
