"""One upstream over gRPC: a connection of HTTP/2 that many queries share, made anew when it is lost."""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from seamark.dns.corefile.address import join_address
from seamark.dns.plugins.grpc.config import UNIX, Upstream
from seamark.dns.server.grpc import METHOD
from seamark.dns.waiting import within
from seamark.dns.wire.packet import parse_packet, render_packet
from seamark.machinery.clock import Clock

READ = 65536


class ChannelError(Exception):
    """Says which upstream and why."""


@dataclass(slots=True)
class _Call:
    reply: asyncio.Future[bytes]
    body: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)


class Channel:
    def __init__(self, where: Upstream, clock: Clock, tls: ssl.SSLContext | None, server_name: str) -> None:
        self.address = f"{UNIX}{where.host}" if where.is_socket else join_address(where.host, where.port)
        self._where = where
        self._clock = clock
        self._tls = tls
        self._server_name = (
            (server_name or ("localhost" if where.is_socket else where.host)) if tls is not None else None
        )
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None

    async def ask(self, packet: bytes, seconds: float) -> bytes:
        """The reply to a DNS message. Raises ChannelError."""
        try:
            return await within(self._clock, seconds, self._ask(packet))
        except (OSError, ssl.SSLError, TimeoutError, ValueError, h2.exceptions.ProtocolError) as error:
            raise ChannelError(f"{self.address}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _ask(self, packet: bytes) -> bytes:
        async with self._connecting:
            if self._connection is None or self._connection.lost:
                self._connection = await self._connect()
        return await self._connection.call(packet)

    async def _connect(self) -> _Connection:
        where, tls, name = self._where, self._tls, self._server_name
        if where.is_socket:
            reader, writer = await asyncio.open_unix_connection(where.host, ssl=tls, server_hostname=name)
        else:
            reader, writer = await asyncio.open_connection(where.host, where.port, ssl=tls, server_hostname=name)
        authority = "localhost" if where.is_socket else self.address
        return _Connection(reader, writer, name or authority, secured=tls is not None)


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, *, secured: bool
    ) -> None:
        self._writer = writer
        self._headers = [
            (":method", "POST"),
            (":scheme", "https" if secured else "http"),
            (":path", METHOD),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._calls: dict[int, _Call] = {}
        self.lost = False
        self._flush()
        self._reading = asyncio.ensure_future(self._read(reader))

    async def call(self, packet: bytes) -> bytes:
        message = render_packet(packet)
        number = self._h2.get_next_available_stream_id()
        call = self._calls[number] = _Call(asyncio.get_running_loop().create_future())
        try:
            self._h2.send_headers(number, self._headers)
            self._h2.send_data(number, struct.pack("!BI", 0, len(message)) + message, end_stream=True)
            self._flush()
            return await call.reply
        finally:
            self._calls.pop(number, None)

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._writer.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        why = "the connection ended"
        try:
            while data := await reader.read(READ):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        except (OSError, h2.exceptions.ProtocolError) as error:
            why = str(error)
        finally:
            self.lost = True
            self._writer.close()
            for call in self._calls.values():
                if not call.reply.done():
                    call.reply.set_exception(OSError(why))

    def _take(self, event: h2.events.Event) -> None:
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.lost = True  # calls under way may still end well
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        call = self._calls.get(number) if isinstance(number, int) else None
        if call is None or call.reply.done():
            return
        match event:
            case h2.events.DataReceived(data=data):
                call.body += data or b""
            case h2.events.ResponseReceived(headers=headers) | h2.events.TrailersReceived(headers=headers):
                call.trailers |= {str(name): str(value) for name, value in headers or ()}
            case h2.events.StreamEnded():
                _finish(call)
            case h2.events.StreamReset(error_code=code):
                call.reply.set_exception(OSError(f"the stream was reset ({code})"))


def _finish(call: _Call) -> None:
    try:
        call.reply.set_result(_reply_of(call.trailers, bytes(call.body)))
    except (OSError, ValueError) as error:
        call.reply.set_exception(error)


def _reply_of(headers: dict[str, str], body: bytes) -> bytes:
    """Raises OSError for a call that failed, ValueError for a reply that is none."""
    status: Any = headers.get("grpc-status", f"HTTP {headers.get(':status', 'none')}")
    if status != "0":
        raise OSError(f"grpc status {status}: {headers.get('grpc-message', '')}")
    if len(body) < 5 or len(body) != 5 + struct.unpack_from("!I", body, 1)[0] or body[0]:
        raise ValueError("the reply is not one plain message")
    return parse_packet(body[5:])
