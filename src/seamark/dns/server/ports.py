"""The sockets of one listener at one address, and who reads them, by transport."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from seamark.dns.host import Certificate
from seamark.dns.listener import Listener
from seamark.dns.server.streams import Serving, StreamListener
from seamark.dns.server.tcp import TcpTransport
from seamark.dns.server.udp import Quick, UdpListener, open_tcp, open_udp

if TYPE_CHECKING:
    from seamark.dns.server.quic import QuicListener

DATAGRAMS = frozenset({"dns", "quic", "https3"})
STREAMS = frozenset({"dns", "tls", "https", "grpc"})


class Sockets(NamedTuple):
    """``multisocket`` makes several of each."""

    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]

    def close(self) -> None:
        for found in (*self.udp, *self.tcp):
            found.close()


class Security(NamedTuple):
    """What the plugin tls gave: the same for the library ssl and for QUIC, which wants files."""

    tls: ssl.SSLContext | None = None
    certificate: Certificate | None = None


def bind_sockets(at: Listener, host: str, copies: int) -> Sockets:
    """``copies`` 0 = one that nobody shares. Raises OSError, and then nothing is left open."""
    held: list[socket.socket] = []
    shared, count = copies > 0, max(1, copies)
    try:
        if at.transport in DATAGRAMS:
            held.extend(open_udp(host, at.port, shared=shared, packet_info=at.transport == "dns") for _ in range(count))
        datagrams = len(held)
        if at.transport in STREAMS:
            held.extend(open_tcp(host, at.port, shared=shared) for _ in range(count))
        return Sockets(tuple(held[:datagrams]), tuple(held[datagrams:]))
    except OSError as error:
        for one in held:
            one.close()
        raise OSError(error.errno, f"cannot listen on {host or '*'}:{at.port}: {error.strerror}") from error


class _Drained(Protocol):
    async def drain(self) -> None: ...


@dataclass(slots=True)
class Port:
    """Everything that reads the sockets of one address."""

    datagrams: list[UdpListener] = field(default_factory=list)
    streams: list[StreamListener] = field(default_factory=list)
    quic: list[QuicListener] = field(default_factory=list)

    async def renew(self, security: Security) -> None:
        """New connections use these certificates."""
        for stream in self.streams:
            await stream.secure(security.tls)
        for listener in self.quic:
            if security.certificate is not None:
                listener.renew(security.certificate)

    def refuse(self) -> None:
        """No new connection and no new datagram, but what has been asked is answered."""
        for stream in self.streams:
            stream.refuse()
        for listener in self.datagrams:
            listener.refuse()

    async def drain(self) -> None:
        ending: tuple[_Drained, ...] = (*self.streams, *self.quic, *self.datagrams)
        await asyncio.gather(*(listener.drain() for listener in ending))


async def open_port(sockets: Sockets, serving: Serving, security: Security, quick: Quick) -> Port:
    """Serves at once. ``quick`` answers a datagram without waiting, or says None."""
    found = Port()
    for tcp in sockets.tcp:
        stream = _stream(serving)
        found.streams.append(stream)
        await stream.start(tcp, security.tls)
    if serving.at.transport == "dns":
        found.datagrams = [UdpListener(udp, serving.at, serving.answer, quick, serving.proxied) for udp in sockets.udp]
        return found
    for udp in sockets.udp:
        quic = import_module("seamark.dns.server.quic")  # half a second of imports that few need
        listener: QuicListener = quic.QuicListener(serving, over_http=serving.at.transport == "https3")
        assert security.certificate is not None  # parse_server refuses such a block without the plugin tls
        found.quic.append(listener)
        await listener.start(udp, security.certificate)
    return found


def _stream(serving: Serving) -> StreamListener:
    if serving.at.transport == "https":
        https = import_module("seamark.dns.server.https")
        return StreamListener(https.HttpsTransport(serving, serving.metrics.https_responses), serving, https.ALPN)
    if serving.at.transport == "grpc":
        grpc = import_module("seamark.dns.server.grpc")
        return StreamListener(grpc.GrpcTransport(serving), serving, grpc.ALPN)
    return StreamListener(TcpTransport(serving), serving)
