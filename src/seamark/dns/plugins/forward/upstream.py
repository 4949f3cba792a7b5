"""One upstream: exchanging a message over UDP or TCP with connections used again, and its health.

A connection carries one question at a time. Over UDP it is a socket of its own with a random port, and every question
gets a random id: what comes back with another id is ignored, so guessing takes both.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from seamark.dns.host import Host
from seamark.dns.plugins.forward.config import Health, Transport
from seamark.dns.waiting import within

PROXY = "forward"
TLS = "tcp-tls"
CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class TlsClient:
    """``server_name`` is whose certificate is expected; empty = that of the address."""

    context: ssl.SSLContext
    server_name: str = ""


class UpstreamError(Exception):
    """No usable reply. Says which upstream and why."""


class _ClosedError(Exception):
    """A kept connection turned out to be closed: worth another try on a new one."""


class _Connection(Protocol):
    opened: float
    idle_since: float
    used: bool

    async def exchange(self, wire: bytes) -> bytes: ...

    async def receive(self) -> bytes: ...

    def close(self) -> None: ...


class Upstream:
    """``fails`` counts failed probes; ``is_down`` once there are more than ``max_fails``."""

    def __init__(
        self, host: str, port: int, *, own: Host, transport: Transport, health: Health, tls: TlsClient | None = None
    ) -> None:
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.fails = 0
        self._where = (host, port)
        self._own = own
        self._transport = transport
        self._health = health
        self._tls = tls
        self._idle: dict[str, list[_Connection]] = {"udp": [], "tcp": [], TLS: []}
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_down(self) -> bool:
        return 0 < self._health.max_fails < self.fails

    async def ask(self, message: dns.message.Message, protocol: str) -> dns.message.Message:
        """The reply. Raises UpstreamError."""
        protocol = protocol if self._tls is None else TLS
        metrics, clock = self._own.metrics, self._own.clock
        started = clock.monotonic()
        try:
            reply = await self._ask_once(message, protocol)
        except (OSError, TimeoutError, EOFError, dns.exception.DNSException) as error:
            raise UpstreamError(f"{self.address} over {protocol}: {_reason(error)}") from error
        rcode = dns.rcode.to_text(reply.rcode())
        metrics.proxy_duration.labels(PROXY, self.address, rcode).observe(clock.monotonic() - started)
        return reply

    def check(self) -> None:
        """Starts probing after a failure, unless that goes on already."""
        if self._health.max_fails and self._health.interval and (self._probing is None or self._probing.done()):
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    async def _ask_once(self, message: dns.message.Message, protocol: str) -> dns.message.Message:
        identity = self._own.random.getrandbits(16)
        wire = struct.pack("!H", identity) + message.to_wire()[2:]
        while True:
            connection = await self._connection(protocol)
            try:
                reply = await within(
                    self._own.clock, self._transport.read_timeout, _exchange(connection, wire, identity)
                )
            except _ClosedError:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._keep(connection, protocol)
            return reply

    async def _connection(self, protocol: str) -> _Connection:
        now = self._own.clock.monotonic()
        metrics = self._own.metrics
        idle = self._idle[protocol]
        while idle:
            found = idle.pop()
            if not self._expired(found, now):
                metrics.proxy_conn_hits.labels(PROXY, self.address, protocol).inc()
                found.used = True
                return found
            found.close()
        metrics.proxy_conn_misses.labels(PROXY, self.address, protocol).inc()
        source = (self._transport.source_address, 0) if self._transport.source_address else None
        opening: Awaitable[_Connection] = (
            _open_udp(self._where, source) if protocol == "udp" else _open_tcp(self._where, source, self._tls)
        )
        opened = await within(self._own.clock, CONNECT_TIMEOUT, opening)
        opened.opened = now
        return opened

    def _expired(self, connection: _Connection, now: float) -> bool:
        aged = 0 < self._transport.max_age <= now - connection.opened
        return aged or now - connection.idle_since >= self._transport.expire

    def _keep(self, connection: _Connection, protocol: str) -> None:
        idle = self._idle[protocol]
        if 0 < self._transport.max_idle_conns <= len(idle):
            connection.close()
            return
        connection.idle_since = self._own.clock.monotonic()
        idle.append(connection)

    async def _probe(self) -> None:
        """``DOMAIN NS`` until there is any reply."""
        query = dns.message.make_query(dns.name.from_text(self._health.domain), dns.rdatatype.NS)
        if not self._health.recursion:
            query.flags &= ~dns.flags.RD
        protocol = "tcp" if self._transport.force_tcp else "udp"
        while True:
            try:
                await self.ask(query, protocol)
                self.fails = 0
                return
            except UpstreamError:
                self.fails += 1
                self._own.metrics.proxy_failures.labels(PROXY, self.address).inc()
            await self._own.clock.sleep(self._health.interval)


async def _exchange(connection: _Connection, wire: bytes, identity: int) -> dns.message.Message:
    """Sends, and waits for the reply with our id; anything else that arrives is not for us."""
    received = await connection.exchange(wire)
    while True:
        if len(received) >= 12 and received[:2] == wire[:2] and received[2] & 0x80:
            return dns.message.from_wire(received, ignore_trailing=True)
        received = await connection.receive()


class _Udp(asyncio.DatagramProtocol):
    """A connected socket."""

    def __init__(self) -> None:
        self.opened = self.idle_since = 0.0
        self.used = False
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc)

    async def exchange(self, wire: bytes) -> bytes:
        assert self._transport is not None
        self._transport.sendto(wire)
        return await self.receive()

    async def receive(self) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened = self.idle_since = 0.0
        self.used = False
        self._reader = reader
        self._writer = writer

    async def exchange(self, wire: bytes) -> bytes:
        try:
            self._writer.write(struct.pack("!H", len(wire)) + wire)
            await self._writer.drain()
            return await self.receive()
        except (ConnectionError, EOFError) as error:
            if self.used:
                raise _ClosedError from error
            raise

    async def receive(self) -> bytes:
        (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def _open_udp(where: tuple[str, int], source: tuple[str, int] | None) -> _Connection:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(_Udp, remote_addr=where, local_addr=source)
    return protocol


async def _open_tcp(
    where: tuple[str, int], source: tuple[str, int] | None, tls: TlsClient | None = None
) -> _Connection:
    context, name = (tls.context, tls.server_name or where[0]) if tls is not None else (None, None)
    return _Tcp(*await asyncio.open_connection(*where, local_addr=source, ssl=context, server_hostname=name))


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the connection was closed before a reply"
    return str(error) or type(error).__name__
