"""TCP and TLS: length-prefixed messages, one after the other on a connection; slow and idle ones are closed.

With more connections than ``MAX_CONNECTIONS`` the oldest ends: a client that opens many and says nothing shuts nobody
out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable

from seamark.dns.host import Timeouts
from seamark.dns.listener import Listener
from seamark.dns.server.udp import Answering
from seamark.dns.waiting import within
from seamark.machinery.clock import Clock

MAX_CONNECTIONS = 4096
ENDED = (OSError, EOFError, TimeoutError, asyncio.CancelledError)


class TcpListener:
    """``timeouts`` is asked for every query, so a reload changes them for open connections too."""

    def __init__(self, at: Listener, answer: Answering, clock: Clock, timeouts: Callable[[], Timeouts]) -> None:
        self._at = at
        self._answer = answer
        self._clock = clock
        self._timeouts = timeouts
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], None] = {}  # the oldest first

    async def start(self, found: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._socket = found
        await self.secure(tls)

    async def secure(self, tls: ssl.SSLContext | None) -> None:
        """From now on new connections use these certificates; the socket and its backlog stay."""
        assert self._socket is not None
        accepting = self._socket.dup()  # a server closes its socket
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.start_server(self._accept, sock=accepting, ssl=tls)

    async def drain(self) -> None:
        """No new connection, and none is kept."""
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        if len(self._connections) > MAX_CONNECTIONS:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.cancel()
        try:
            await self._converse(reader, writer)
        except ENDED:
            pass  # the client is gone or silent, or we end
        finally:
            self._connections.pop(task, None)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")
        while True:
            limits = self._timeouts()
            (length,) = struct.unpack("!H", await within(self._clock, limits.idle, reader.readexactly(2)))
            packet = await within(self._clock, limits.read, reader.readexactly(length))
            found = await self._answer(self._at, packet, (client[0], client[1]), "tcp")
            if found is None:
                return
            for message in (found,) if isinstance(found, bytes) else found:
                writer.write(struct.pack("!H", len(message)) + message)
                await within(self._clock, limits.write, writer.drain())
