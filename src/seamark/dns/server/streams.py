"""Connections of a stream transport: taken in, bounded in number, ended.

With more connections than the transport allows the oldest ends: a client that opens many and says nothing shuts nobody
out. What is said on a connection is its transport's (``tcp.py``, ``https.py``, ``grpc.py``).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from seamark.dns.host import Limits, Timeouts
from seamark.dns.listener import Listener
from seamark.dns.metrics import Metrics
from seamark.dns.server.udp import Answering
from seamark.machinery.clock import Clock


@dataclass(frozen=True, slots=True)
class Serving:
    """What a transport answers with. ``timeouts`` and ``limits`` are asked each time: a reload changes them for open
    connections, too.
    """

    at: Listener
    answer: Answering
    clock: Clock
    metrics: Metrics
    timeouts: Callable[[], Timeouts]
    limits: Callable[[], Limits]


ENDED = (OSError, EOFError, TimeoutError, asyncio.CancelledError)


class Transport(Protocol):
    @property
    def connections(self) -> int:
        """How many there may be; 0 is without bound. May change with a reload."""
        ...

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All that is said on one connection; it is closed afterwards."""
        ...


class StreamListener:
    def __init__(self, transport: Transport, alpn: tuple[str, ...] = ()) -> None:
        self._transport = transport
        self._alpn = alpn
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
        if tls is not None and self._alpn:
            tls.set_alpn_protocols(self._alpn)
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
        if 0 < self._transport.connections < len(self._connections):
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.cancel()
        try:
            await self._transport.converse(reader, writer)
        except ENDED:
            pass  # the client is gone or silent, or we end
        finally:
            self._connections.pop(task, None)
            writer.close()


def client_of(writer: asyncio.StreamWriter) -> tuple[str, int]:
    found = writer.get_extra_info("peername")
    return (found[0], found[1])
