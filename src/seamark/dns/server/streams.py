"""Connections of a stream transport: taken in, bounded in number, ended.

With more connections than the transport allows the oldest ends: a client that opens many and says nothing shuts nobody
out. What is said on a connection is its transport's (``tcp.py``, ``https.py``, ``grpc.py``).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from seamark.dns.host import Limits, Timeouts
from seamark.dns.listener import Listener, Source
from seamark.dns.metrics import Metrics
from seamark.dns.server.proxied import Behind, Proxied, Reading
from seamark.dns.server.udp import Answering
from seamark.dns.waiting import within
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
    proxied: Callable[[], Proxied | None] = lambda: None


ENDED = (OSError, EOFError, TimeoutError, ValueError, asyncio.CancelledError)


class Transport(Protocol):
    @property
    def connections(self) -> int:
        """How many there may be; 0 is without bound. May change with a reload."""
        ...

    async def converse(self, reader: Reading, writer: asyncio.StreamWriter, client: Source) -> None:
        """All that is said on one connection; it is closed afterwards."""
        ...


class StreamListener:
    def __init__(self, transport: Transport, serving: Serving, alpn: tuple[str, ...] = ()) -> None:
        self._transport = transport
        self._serving = serving
        self._accepting: asyncio.Task[None] | None = None
        self._receiving: set[asyncio.Task[None]] = set()
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
        self._stop_accepting()
        if tls is not None and self._alpn:
            tls.set_alpn_protocols(self._alpn)
        proxied = self._serving.proxied()
        if proxied is None:
            self._server = await asyncio.start_server(self._accept, sock=accepting, ssl=tls)
        else:
            work = self._accept_proxied(accepting, proxied, tls)
            self._accepting = asyncio.get_running_loop().create_task(work)

    def refuse(self) -> None:
        """No new connection."""
        self._stop_accepting()
        if self._socket is not None:
            self._socket.close()

    async def drain(self) -> None:
        """No new connection, and none is kept."""
        self.refuse()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _stop_accepting(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._accepting is not None:
            self._accepting.cancel()
        self._server = self._accepting = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        client = Source(address[0], address[1], own[0], own[1])
        await self._converse(self._transport.converse(reader, writer, client))
        writer.close()

    async def _accept_proxied(self, listening: socket.socket, proxied: Proxied, tls: ssl.SSLContext | None) -> None:
        """A proxy's header stands in front of everything, TLS too, so it is read from the bare socket."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                found, _ = await loop.sock_accept(listening)
                work = self._converse(self._receive(found, proxied, tls))
                self._receiving.add(task := loop.create_task(work))
                task.add_done_callback(self._receiving.discard)
        finally:
            listening.close()

    async def _receive(self, found: socket.socket, proxied: Proxied, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        writer: asyncio.StreamWriter | None = None
        try:
            found.setblocking(False)
            opening = proxied.open(found)
            head, client = await within(self._serving.clock, self._serving.timeouts().read, opening)
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, found, ssl=tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._transport.converse(Behind(head, reader) if head else reader, writer, client)
        finally:
            if writer is not None:
                writer.close()
            else:
                found.close()

    async def _converse(self, work: Coroutine[None, None, None]) -> None:
        """One connection, from here to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        if 0 < self._transport.connections < len(self._connections):
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.cancel()
        try:
            await work
        except ENDED:
            pass  # the client is gone or silent, or we end
        finally:
            self._connections.pop(task, None)
