"""Upstreams over QUIC (RFC 9250): one connection for all questions, each a stream of its own. aioquic does the QUIC.

The connection is opened with the first question and kept: until it was idle for ``expire``, older than ``max_age``
(then it answers what it was asked), or ended by the other side, which costs a question one more try.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import dns.edns
import dns.message
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived, StreamReset
from cryptography import x509

from seamark.dns.corefile.address import join_address
from seamark.dns.host import Host, Site
from seamark.dns.plugins.forward.checking import is_for
from seamark.dns.plugins.forward.config import Config, Tls, Transport
from seamark.dns.plugins.forward.targets import Upstream as Target
from seamark.dns.plugins.forward.upstream import CONNECT_TIMEOUT, PROXY, ClosedError
from seamark.dns.waiting import within

ALPN = ["doq"]
NO_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED = 0, 2, 3
"""Error codes of RFC 9250 §4.3."""
MAX_REPLY = 65537
PAYLOAD = 1252
IDLE = 30.0
KEEPALIVE = dns.edns.OptionType(11)


class QuicUpstream:
    protocol = "quic"

    def __init__(
        self,
        where: tuple[str, int],
        configure: Callable[[], QuicConfiguration],
        transport: Transport,
        own: Host,
    ) -> None:
        self._where = where
        self._configure = configure
        self._transport = transport
        self._own = own
        self._label = join_address(*where)
        self._current: _Connection | None = None
        self._opening: asyncio.Task[_Connection] | None = None
        self._ending: set[_Connection] = set()

    async def ask(self, message: dns.message.Message) -> dns.message.Message:
        """Raises OSError and dns.exception.DNSException."""
        wire = _wire(message)
        while True:
            connection, kept = await self._connection()
            try:
                found = await connection.exchange(wire)
            except ClosedError:
                if not kept:
                    raise
                continue
            finally:
                connection.idle_since = self._own.clock.monotonic()
            return self._read(connection, found, message)

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._current is not None:
            self._current.end(NO_ERROR)
        for connection in tuple(self._ending):
            connection.end(NO_ERROR)

    def _read(self, connection: _Connection, found: bytes, asked: dns.message.Message) -> dns.message.Message:
        """What breaks the rules ends the connection."""
        reply: dns.message.Message | None = None
        if len(found) >= 2 and struct.unpack_from("!H", found)[0] == len(found) - 2:
            reply = dns.message.from_wire(found[2:], ignore_trailing=True)
        if reply is None or reply.id != 0:
            connection.end(PROTOCOL_ERROR)
            raise OSError("the reply breaks the rules of DNS over QUIC")
        if not is_for(reply, asked):
            raise OSError("the answer is to another question")
        reply.id = asked.id
        return reply

    async def _connection(self) -> tuple[_Connection, bool]:
        """One to ask on, and whether it was there already. Who comes while one is being opened waits for that one."""
        metrics = self._own.metrics
        if self._current is not None and self._is_over(self._current):
            self._retire(self._current)
        if self._current is not None:
            metrics.proxy_conn_hits.labels(PROXY, self._label, self.protocol).inc()
            return self._current, True
        if self._opening is None:
            metrics.proxy_conn_misses.labels(PROXY, self._label, self.protocol).inc()
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening), False

    def _is_over(self, connection: _Connection) -> bool:
        now, limits = self._own.clock.monotonic(), self._transport
        aged = 0 < limits.max_age <= now - connection.opened
        idle = not connection.is_busy and now - connection.idle_since >= limits.expire
        return connection.is_closed or aged or idle

    def _retire(self, connection: _Connection) -> None:
        """It takes no further question."""
        self._current = None
        if not connection.is_closed:
            self._ending.add(connection)
            connection.on_end = lambda: self._ending.discard(connection)
            connection.end_when_idle()

    async def _open(self) -> _Connection:
        limits = self._transport
        configuration = self._configure()
        configuration.idle_timeout = max(IDLE, limits.expire, limits.read_timeout)
        _, opened = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Connection(QuicConnection(configuration=configuration)),
            remote_addr=self._where,
            local_addr=(limits.source_address, 0) if limits.source_address else None,
        )
        opened.connect(self._where)
        try:
            await within(self._own.clock, CONNECT_TIMEOUT, opened.ready)
        except BaseException:
            opened.end(NO_ERROR)
            raise
        opened.opened = opened.idle_since = self._own.clock.monotonic()
        return opened

    def _opened(self, done: asyncio.Task[_Connection]) -> None:
        self._opening = None
        if not done.cancelled() and done.exception() is None:
            self._current = done.result()


class _Connected:
    """A connected socket for who names the other side with each datagram."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def sendto(self, data: bytes, addr: object = None) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        self._transport.close()


class _Connection(QuicConnectionProtocol):
    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.opened = self.idle_since = 0.0
        self.is_closed = False
        self.on_end: Callable[[], None] = lambda: None
        self._leaving = False
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._held: dict[int, bytearray] = {}

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting)

    async def exchange(self, wire: bytes) -> bytes:
        """What comes on a stream of its own. Raises ClosedError where the connection ends before, and OSError."""
        if self.is_closed:
            raise ClosedError("the connection was closed")
        stream = self._quic.get_next_available_stream_id()
        answered = self._waiting[stream] = asyncio.get_running_loop().create_future()
        try:
            self._quic.send_stream_data(stream, struct.pack("!H", len(wire)) + wire, end_stream=True)
            self.transmit()
            found: bytes = await answered
            return found
        except asyncio.CancelledError:
            self._quic.stop_stream(stream, REQUEST_CANCELLED)
            self.transmit()
            raise
        finally:
            del self._waiting[stream]
            self._held.pop(stream, None)
            if self._leaving:
                self.end_when_idle()

    def end_when_idle(self) -> None:
        self._leaving = True
        if not self._waiting:
            self.end(NO_ERROR)

    def end(self, code: int) -> None:
        """Tells the other side, and waits for nothing: the socket was for this connection alone."""
        if not self.is_closed:
            self.close(code)
            self._ended("the connection was closed")

    def transmit(self) -> None:
        if not self.is_closed:
            super().transmit()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wrapped = _Connected(cast(asyncio.DatagramTransport, transport))
        super().connection_made(cast(asyncio.DatagramTransport, wrapped))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self.ready.done():
            self.ready.set_exception(exc)

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, StreamDataReceived):
            held = self._held.setdefault(event.stream_id, bytearray())
            held += event.data
            if len(held) > MAX_REPLY:
                self._settle(event.stream_id, OSError("the reply is too long"))
            elif event.end_stream:
                self._settle(event.stream_id, bytes(held))
        elif isinstance(event, StreamReset):
            self._settle(event.stream_id, OSError(f"the stream was reset with code {event.error_code}"))
        elif isinstance(event, ConnectionTerminated):
            self._ended(event.reason_phrase or f"the connection was closed with code {event.error_code}")

    def _settle(self, stream: int, found: bytes | OSError) -> None:
        answered = self._waiting.get(stream)
        if answered is None or answered.done():
            self._held.pop(stream, None)
        elif isinstance(found, bytes):
            answered.set_result(found)
        else:
            answered.set_exception(found)

    def _ended(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        unsettled: tuple[asyncio.Future[Any], ...] = (*self._waiting.values(), self.ready)
        for future in unsettled:
            if not future.done():
                future.set_exception(ClosedError(reason))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
        self.on_end()


def open_doq(target: Target, name: str, config: Config, site: Site) -> QuicUpstream:
    """Raises CorefileError for certificates that cannot be used."""
    try:
        configure = _configuration(name or target.host, config.tls, site.root)
    except (OSError, ValueError) as error:
        raise target.token.error(f"forward: the certificates of tls cannot be used: {error}") from error
    return QuicUpstream((target.host, target.port), configure, config.transport, site.host)


def _configuration(name: str, files: Tls, root: Path) -> Callable[[], QuicConfiguration]:
    """What makes a configuration, which a connection changes. Raises OSError and ValueError."""
    system = ssl.get_default_verify_paths()
    authority = (root / files.authority).read_bytes() if files.authority else None
    if authority is not None:
        x509.load_pem_x509_certificates(authority)

    def configure() -> QuicConfiguration:
        found = QuicConfiguration(alpn_protocols=ALPN, is_client=True, max_datagram_size=PAYLOAD, server_name=name)
        if authority is not None:
            found.load_verify_locations(cadata=authority)
        else:
            found.load_verify_locations(system.cafile, system.capath)
        if files.certificate:
            found.load_cert_chain(root / files.certificate, root / files.key)
        return found

    configure()
    return configure


def _wire(message: dns.message.Message) -> bytes:
    """With the id 0 (RFC 9250 §4.2.1), and without what has no place in QUIC (§5.5.2)."""
    if any(option.otype == KEEPALIVE for option in message.options):
        message = dns.message.from_wire(message.to_wire())
        kept = [option for option in message.options if option.otype != KEEPALIVE]
        message.use_edns(message.edns, message.ednsflags, message.payload, options=kept)
    return b"\0\0" + message.to_wire()[2:]
