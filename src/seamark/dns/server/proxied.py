"""Clients behind a proxy that says who they are (plugin proxyproto): in front of a connection, or of each datagram."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from seamark.dns.listener import Source, plain_address
from seamark.dns.wire.proxyheader import Header, may_begin, missing, parse_header
from seamark.machinery.clock import Clock


class Reading(Protocol):
    """What transports read from: a connection, or what is left of it behind a header."""

    async def read(self, n: int = -1) -> bytes: ...

    async def readexactly(self, n: int) -> bytes: ...


class Proxied:
    """Whose headers count. ``default`` is for who is not ``allowed``: use, ignore, reject or skip; ``sessions`` of UDP
    last ``ttl`` seconds (0 = each datagram has its own header).
    """

    def __init__(
        self, allowed: tuple[IPv4Network | IPv6Network, ...], default: str, clock: Clock, *, ttl: float, most: int
    ) -> None:
        self._allowed = allowed
        self._default = default
        self._clock = clock
        self._ttl = ttl
        self._most = most
        self._sessions: OrderedDict[tuple[str, int], tuple[float, Source]] = OrderedDict()

    def treatment(self, address: str) -> str:
        if not self._allowed:
            return self._default or "use"
        found = ip_address(plain_address(address))
        return "use" if any(found in network for network in self._allowed) else self._default or "ignore"

    def unwrap(self, packet: bytes, peer: Source) -> tuple[bytes, Source] | None:
        """The query of a datagram and who asks it; None for one to drop."""
        treatment = self.treatment(peer.host)
        if treatment == "skip":
            return packet, peer
        try:
            header = parse_header(packet)
        except ValueError:
            return None
        if header is None:
            return packet, self._known(peer) if treatment == "use" else peer
        if treatment == "reject" or header.version != 2:  # version 1 is for streams
            return None
        source = _source(header, peer) if treatment == "use" else peer
        if treatment == "use" and self._ttl and header.source is not None:
            self._remember(peer, source)
        query = packet[header.size :]
        return (query, source) if query else None

    def _remember(self, peer: Source, source: Source) -> None:
        key = (peer.host, peer.port)
        self._sessions[key] = (self._clock.monotonic() + self._ttl, source)
        self._sessions.move_to_end(key)
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)

    def _known(self, peer: Source) -> Source:
        ends, source = self._sessions.get((peer.host, peer.port), (0.0, peer))
        if ends <= self._clock.monotonic():
            return peer
        self._remember(peer, source)
        return source

    async def open(self, found: socket.socket) -> tuple[bytes, Source]:
        """What was read of a connection that was no header, and who asks. Raises ValueError for one to end.

        No octet behind a header is read, nor any of what cannot begin with one, such as TLS.
        """
        peer = Source(*found.getpeername()[:2], *found.getsockname()[:2])
        treatment = self.treatment(peer.host)
        if treatment == "skip" or not may_begin(await _glance(found)):
            return b"", peer
        loop, head = asyncio.get_running_loop(), b""
        while not head or may_begin(head):
            lacking = missing(head) if head else 1
            if not lacking:
                header = parse_header(head)
                if header is None or treatment == "reject":
                    raise ValueError("a PROXY header is not taken from here")
                return b"", _source(header, peer) if treatment == "use" else peer
            data = await loop.sock_recv(found, lacking)
            if not data:
                raise EOFError
            head += data
        return head, peer


def _source(header: Header, peer: Source) -> Source:
    """Who asks, as the proxy says that is ``peer``."""
    return Source(*header.source, *header.own, header.tlvs) if header.source is not None else peer


async def _glance(found: socket.socket) -> bytes:
    """The first octet that comes, which stays where it is. Raises EOFError."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(found.fileno(), came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(found.fileno())
    first = found.recv(1, socket.MSG_PEEK)
    if not first:
        raise EOFError
    return first


class Behind:
    """A connection whose first octets were read already."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self._head = head
        self._reader = reader

    async def read(self, n: int = -1) -> bytes:
        if not self._head:
            return await self._reader.read(n)
        found, self._head = self._head[:n], self._head[n:]
        return found

    async def readexactly(self, n: int) -> bytes:
        found, self._head = self._head[:n], self._head[n:]
        return found + await self._reader.readexactly(n - len(found))
