"""One upstream: exchanging a message over UDP, TCP or TLS with connections used again, and its health.

A connection carries one question at a time. Over UDP it is a socket of its own with a random port, and every question
gets a random id: what comes back with another id or another question is ignored, so guessing takes all of them.

Health is a circuit breaker: every failure counts, every reply sets the count to nothing; with more than ``max_fails``
of them the upstream is left out, and probes that come ever slower find out when it answers again.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.client.base import TransportError
from seamark.dns.corefile.address import join_address
from seamark.dns.host import Host
from seamark.dns.plugins.forward.checking import is_for
from seamark.dns.plugins.forward.config import Health, Transport
from seamark.dns.waiting import within
from seamark.dns.wire.render import render_query

PROXY = "forward"
TLS = "tcp-tls"
CONNECT_TIMEOUT = 5.0
MAX_PROBE_PAUSE = 10.0
MAX_STRAYS = 100  # datagrams that are no answer, until the upstream counts as one that floods


@dataclass(frozen=True, slots=True)
class TlsClient:
    """``server_name`` is whose certificate is expected; empty = that of the address."""

    context: ssl.SSLContext
    server_name: str = ""


class Exchanger(Protocol):
    """Has connections of its own: HTTPS, QUIC. ``protocol`` is its name in messages and metrics."""

    @property
    def protocol(self) -> str: ...

    async def ask(self, message: dns.message.Message) -> dns.message.Message: ...

    async def close(self) -> None: ...


class UpstreamError(Exception):
    """No usable reply. Says which upstream and why."""


class ClosedError(OSError):
    """A kept connection turned out to be closed: worth another try on a new one."""


class _Connection(Protocol):
    local: tuple[str, int]
    opened: float
    idle_since: float
    used: bool

    async def exchange(self, wire: bytes) -> bytes: ...

    async def receive(self) -> bytes: ...

    def close(self) -> None: ...


class Upstream:
    """``fails`` counts failures in a row; ``is_down`` once there are more than ``max_fails``.

    ``disabled`` says why it is not to be used at all, empty = it is (plugin loop).
    """

    def __init__(  # noqa: PLR0913 - the address, and one way out of three to it
        self,
        host: str,
        port: int,
        *,
        own: Host,
        transport: Transport,
        health: Health,
        tls: TlsClient | None = None,
        exchanger: Exchanger | None = None,
    ) -> None:
        self.address = join_address(host, port)
        self.fails = 0
        self.disabled = ""
        self._exchanger = exchanger
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

    async def ask(self, message: dns.message.Message, protocol: str, *, is_probe: bool = False) -> dns.message.Message:
        """The reply. Raises UpstreamError. A probe counts for the health and not in the durations."""
        if self._exchanger is not None:
            protocol = self._exchanger.protocol
        elif self._tls is not None:
            protocol = TLS
        metrics, clock = self._own.metrics, self._own.clock
        started = clock.monotonic()
        try:
            if self._exchanger is not None:
                reply = await within(clock, self._transport.read_timeout, self._exchanger.ask(message))
            else:
                reply = await self._ask_once(message, protocol)
        except UpstreamError:
            self.fails += 1
            raise
        except (OSError, TimeoutError, EOFError, TransportError, dns.exception.DNSException) as error:
            self.fails += 1
            raise UpstreamError(f"{self.address} over {protocol}: {_reason(error)}") from error
        self.fails = 0
        if not is_probe:
            rcode = dns.rcode.to_text(reply.rcode())
            metrics.proxy_duration.labels(PROXY, self.address, rcode).observe(clock.monotonic() - started)
        return reply

    def check(self) -> None:
        """Starts probing after a failure, unless that goes on already."""
        if self._health.max_fails and self._health.interval and (self._probing is None or self._probing.done()):
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
        if self._exchanger is not None:
            await self._exchanger.close()

    async def _ask_once(self, message: dns.message.Message, protocol: str) -> dns.message.Message:
        identity = self._own.random.getrandbits(16)
        wire = struct.pack("!H", identity) + render_query(message)[2:]
        while True:
            connection = await self._connection(protocol)
            try:
                reply = await self._exchange(connection, wire, message, protocol)
            except ClosedError:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._keep(connection, protocol)
            return reply

    async def _exchange(
        self, connection: _Connection, wire: bytes, asked: dns.message.Message, protocol: str
    ) -> dns.message.Message:
        """Over UDP what is no answer to our question is ignored, and given only if nothing better comes in time."""
        stray: list[dns.message.Message] = []
        try:
            receiving = _receive(connection, wire, asked, stray if protocol == "udp" else None)
            return await within(self._own.clock, self._transport.read_timeout, receiving)
        except TimeoutError as error:
            if not stray:
                raise UpstreamError(f"{self._between(connection, protocol)}: i/o timeout") from error
            return stray[0]
        except ConnectionError as error:
            raise UpstreamError(f"{self._between(connection, protocol)}: read: {_reason(error)}") from error

    def _between(self, connection: _Connection, protocol: str) -> str:
        network = "udp" if protocol == "udp" else "tcp"
        return f"read {network} {join_address(*connection.local)}->{self.address}"

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
        try:
            opened = await within(self._own.clock, CONNECT_TIMEOUT, opening)
        except TimeoutError as error:
            raise UpstreamError(f"dial tcp {self.address}: i/o timeout") from error
        except ConnectionError as error:
            raise UpstreamError(f"dial tcp {self.address}: connect: {_reason(error)}") from error
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
        """``DOMAIN NS`` until there is any reply; each pause is twice the one before."""
        query = dns.message.make_query(dns.name.from_text(self._health.domain), dns.rdatatype.NS)
        if not self._health.recursion:
            query.flags &= ~dns.flags.RD
        protocol = "tcp" if self._transport.force_tcp else "udp"
        pause = self._health.interval
        while True:
            try:
                await self.ask(query, protocol, is_probe=True)
                return
            except UpstreamError:
                self._own.metrics.proxy_failures.labels(PROXY, self.address).inc()
            await self._own.clock.sleep(pause)
            pause = max(self._health.interval, min(2 * pause, MAX_PROBE_PAUSE))


async def _receive(
    connection: _Connection, wire: bytes, asked: dns.message.Message, stray: list[dns.message.Message] | None
) -> dns.message.Message:
    """Sends, and waits for the reply with our id and question; ``stray`` collects others, None = they are taken."""
    received = await connection.exchange(wire)
    for _ in range(MAX_STRAYS):
        if len(received) >= 12 and received[:2] == wire[:2] and received[2] & 0x80:
            found = dns.message.from_wire(received, ignore_trailing=True)
            if stray is None or is_for(found, asked):
                return found
            stray.append(found)
        received = await connection.receive()
    raise OSError(f"{MAX_STRAYS} messages and no answer among them")


class _Udp(asyncio.DatagramProtocol):
    """A connected socket."""

    def __init__(self) -> None:
        self.opened = self.idle_since = 0.0
        self.used = False
        self.local: tuple[str, int] = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._came: deque[bytes] = deque(maxlen=MAX_STRAYS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.local = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(data)
        else:
            self._came.append(data)

    def error_received(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc)

    async def exchange(self, wire: bytes) -> bytes:
        assert self._transport is not None
        self._came.clear()
        self._transport.sendto(wire)
        return await self.receive()

    async def receive(self) -> bytes:
        if self._came:
            await asyncio.sleep(0)  # whoever floods us is not to keep others waiting
            return self._came.popleft()
        self._waiting = asyncio.get_running_loop().create_future()
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened = self.idle_since = 0.0
        self.used = False
        self.local: tuple[str, int] = writer.get_extra_info("sockname")[:2]
        self._reader = reader
        self._writer = writer

    async def exchange(self, wire: bytes) -> bytes:
        try:
            self._writer.write(struct.pack("!H", len(wire)) + wire)
            await self._writer.drain()
            return await self.receive()
        except (ConnectionError, EOFError) as error:
            if self.used:
                raise ClosedError from error
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
        return "the connection was closed before a reply: EOF"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
