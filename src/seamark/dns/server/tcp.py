"""TCP: length-prefixed messages, one after the other on a connection; idle ones are closed."""

from __future__ import annotations

import asyncio
import socket
import struct

from seamark.dns.server.udp import Answering
from seamark.dns.waiting import within
from seamark.machinery.clock import Clock

IDLE = 10.0


class TcpListener:
    def __init__(self, port: int, answer: Answering, clock: Clock) -> None:
        self._port = port
        self._answer = answer
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, found: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=found)

    async def drain(self) -> None:
        """No new connection, and none is kept."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone or silent, or we end
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")
        while True:
            packet = await within(self._clock, IDLE, _message(reader))
            found = await self._answer(self._port, packet, (client[0], client[1]), "tcp")
            if found is None:
                return
            writer.write(struct.pack("!H", len(found)) + found)
            await writer.drain()


async def _message(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)
