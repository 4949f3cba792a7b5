"""DNS over gRPC, as CoreDNS has it: ``coredns.dns.DnsService/Query`` takes and gives ``DnsPacket { bytes msg = 1 }``.

gRPC is HTTP/2 with five octets in front of each message and its status in trailers; that is little enough to need no
more than h2. Without the plugin tls it is plain HTTP/2.
"""

from __future__ import annotations

import asyncio
import struct

from seamark.dns.listener import Source
from seamark.dns.server.http2 import Asked, Http2Connection, Told
from seamark.dns.server.proxied import Reading
from seamark.dns.server.streams import Serving
from seamark.dns.wire.packet import parse_packet, render_packet

METHOD = "/coredns.dns.DnsService/Query"
ALPN = ("h2",)
UNKNOWN, UNIMPLEMENTED = 2, 12
"""Status codes of gRPC."""


class GrpcTransport:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    @property
    def connections(self) -> int:
        return self._serving.limits().connections

    async def converse(self, reader: Reading, writer: asyncio.StreamWriter, client: Source) -> None:
        await Http2Connection(lambda asked: self._respond(asked, client), self._serving).run(reader, writer)

    async def _respond(self, asked: Asked, client: Source) -> Told:
        if asked.headers.get(":path") != METHOD:
            return _failed(UNIMPLEMENTED, f"unknown method {asked.headers.get(':path', '')}")
        try:
            packet = parse_packet(_unframed(asked.body))
        except ValueError as error:
            return _failed(UNKNOWN, str(error))
        found = await self._serving.answer(self._serving.at, packet, client, "grpc")
        if not isinstance(found, bytes):
            return _failed(UNKNOWN, "no response")
        message = render_packet(found)
        framed = struct.pack("!BI", 0, len(message)) + message
        return Told(((":status", "200"), ("content-type", "application/grpc")), framed, (("grpc-status", "0"),))


def _unframed(body: bytes) -> bytes:
    """Raises ValueError."""
    if len(body) < 5:
        raise ValueError("the request holds no message")
    compressed, length = struct.unpack_from("!BI", body)
    if compressed:
        raise ValueError("compressed messages are not taken")
    if len(body) != 5 + length:
        raise ValueError("the message is not as long as it says")
    return body[5:]


def _failed(status: int, message: str) -> Told:
    headers = ((":status", "200"), ("content-type", "application/grpc"))
    return Told(headers, b"", (("grpc-status", str(status)), ("grpc-message", message)))
