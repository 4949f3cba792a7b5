"""DNS over QUIC (RFC 9250) and over HTTP/3: one query a stream. QUIC and HTTP/3 are the library aioquic's.

Certificates are read when the listener starts and at each reload; connections that are there keep theirs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import dns.edns
import dns.exception
import dns.message
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, QuicEvent, StreamDataReceived, StreamReset

from seamark.dns.host import Certificate
from seamark.dns.listener import Source
from seamark.dns.server.https import HttpsTransport
from seamark.dns.server.streams import Serving

DOQ_ALPN = ("doq",)
NO_ERROR, INTERNAL_ERROR, PROTOCOL_ERROR = 0, 1, 2
"""Error codes of RFC 9250 §4.3."""
KEEPALIVE = dns.edns.OptionType(11)
MAX_QUERY = 65537
PAYLOAD = 1252
"""Octets a datagram may hold without asking the path (RFC 9000 §14.1)."""


class QuicListener:
    """``over_http``: HTTP/3 with the requests of DNS over HTTPS."""

    def __init__(self, serving: Serving, *, over_http: bool) -> None:
        self._serving = serving
        self._over_http = over_http
        self._server: _Unwrapping | None = None
        self._keylogs: dict[Path, TextIO] = {}
        self._conversations: set[_Conversation] = set()
        self._workers = asyncio.Semaphore(serving.limits().workers)

    async def start(self, found: socket.socket, certificate: Certificate) -> None:
        loop = asyncio.get_running_loop()
        configuration = self._configure(certificate)
        _, self._server = await loop.create_datagram_endpoint(
            lambda: _Unwrapping(self._serving, configuration=configuration, create_protocol=self._converse), sock=found
        )

    def renew(self, certificate: Certificate) -> None:
        """From now on new connections use these certificates."""
        if self._server is not None:
            self._server._configuration = self._configure(certificate)

    async def drain(self) -> None:
        """Ends every connection without error."""
        if self._server is not None:
            self._server.close()
        for log in self._keylogs.values():
            log.close()

    def _configure(self, certificate: Certificate) -> QuicConfiguration:
        found = QuicConfiguration(
            alpn_protocols=list(H3_ALPN if self._over_http else DOQ_ALPN),
            is_client=False,
            idle_timeout=self._serving.timeouts().idle,
            max_datagram_size=PAYLOAD,
        )
        found.load_cert_chain(certificate.chain, certificate.key)
        if (keylog := certificate.keylog) is not None:
            found.secrets_log_file = self._keylogs[keylog] = self._keylogs.get(keylog) or keylog.open("a")
        return found

    def _converse(self, *args: Any, **options: Any) -> _Conversation:
        kind = _Http3 if self._over_http else _Doq
        assert self._server is not None
        return kind(_Shared(self._serving, self._conversations, self._workers, self._server), *args, **options)


class _Unwrapping(QuicServer):
    """Takes a proxy's headers off what comes. ``source`` is who sent the datagram that is being read; QUIC itself talks
    to the proxy.
    """

    def __init__(self, serving: Serving, **options: Any) -> None:
        super().__init__(**options)
        self._serving = serving
        self.source = Source("", 0)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        packet = data.encode() if isinstance(data, str) else data
        at = self._serving.at
        self.source = Source(addr[0], addr[1], at.host or "::", at.port)
        if (proxied := self._serving.proxied()) is not None:
            unwrapped = proxied.unwrap(packet, self.source)
            if unwrapped is None:
                return
            packet, self.source = unwrapped
        super().datagram_received(packet, addr)


class _Shared(NamedTuple):
    """What connections of one listener have in common."""

    serving: Serving
    conversations: set[_Conversation]
    workers: asyncio.Semaphore
    server: _Unwrapping


class _Conversation(QuicConnectionProtocol):
    """One connection. More of them, or more streams on one, than allowed are refused."""

    def __init__(self, shared: _Shared, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._serving, self._others, self._workers, self._server = shared
        self.client = self._server.source
        self._others.add(self)
        self._running: dict[int, asyncio.Task[None]] = {}

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        self.client = self._server.source  # it may have moved
        super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated) and 0 < self._serving.limits().connections < len(self._others):
            self._quic.close(NO_ERROR, reason_phrase="too many connections")
            self.transmit()
        elif isinstance(event, ConnectionTerminated):
            self._others.discard(self)
            for task in self._running.values():
                task.cancel()
        elif isinstance(event, StreamReset) and event.stream_id in self._running:
            self._running.pop(event.stream_id).cancel()

    def run(self, stream: int, work: Coroutine[Any, Any, None]) -> None:
        """``work`` answers one stream."""
        if 0 < self._serving.limits().streams <= len(self._running):
            work.close()
            self._quic.reset_stream(stream, INTERNAL_ERROR)
            self.transmit()
            return
        task = asyncio.ensure_future(self._in_turn(work))
        self._running[stream] = task
        task.add_done_callback(lambda done: self._running.pop(stream, None))

    async def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._workers:
            await work


class _Doq(_Conversation):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._held: dict[int, bytearray] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, StreamDataReceived):
            held = self._held.setdefault(event.stream_id, bytearray())
            held += event.data
            if len(held) > MAX_QUERY:
                self._fail(PROTOCOL_ERROR)
            elif event.end_stream:
                self.run(event.stream_id, self._answer(event.stream_id, bytes(self._held.pop(event.stream_id))))

    async def _answer(self, stream: int, data: bytes) -> None:
        try:
            packet = query_of_stream(data)
        except ValueError:
            self._fail(PROTOCOL_ERROR)
            return
        serving = self._serving
        found = await serving.answer(serving.at, packet, self.client, "quic")
        messages = () if found is None else (found,) if isinstance(found, bytes) else found
        self._quic.send_stream_data(
            stream, b"".join(struct.pack("!H", len(message)) + message for message in messages), end_stream=True
        )
        self._count(NO_ERROR)
        self.transmit()

    def _fail(self, code: int) -> None:
        self._count(code)
        self._quic.close(code)
        self.transmit()

    def _count(self, code: int) -> None:
        self._serving.metrics.quic_responses.labels(self._serving.at.label, f"{code:#x}").inc()


class _Http3(_Conversation):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http: H3Connection | None = None
        self._held: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._doh = HttpsTransport(self._serving, self._serving.metrics.https3_responses)

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        for each in self._http.handle_event(event) if self._http is not None else ():
            if isinstance(each, HeadersReceived):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in each.headers}
                self._held.setdefault(each.stream_id, (headers, bytearray()))
            elif isinstance(each, DataReceived) and each.stream_id in self._held:
                self._held[each.stream_id][1].extend(each.data)
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended and each.stream_id in self._held:
                self.run(each.stream_id, self._answer(each.stream_id, *self._held.pop(each.stream_id)))

    async def _answer(self, stream: int, headers: dict[str, str], body: bytearray) -> None:
        status, told, wire = await self._doh.respond(headers, bytes(body), self.client)
        assert self._http is not None
        lines = [(":status", str(int(status))), *told, ("content-length", str(len(wire)))]
        self._http.send_headers(stream, [(name.encode(), value.encode()) for name, value in lines])
        self._http.send_data(stream, wire, end_stream=True)
        self.transmit()


def query_of_stream(data: bytes) -> bytes:
    """The query of a DoQ stream. Raises ValueError for what ends the connection (RFC 9250 §4.2.1, §4.3.3, §5.5.2)."""
    if len(data) < 2 or struct.unpack_from("!H", data)[0] != len(data) - 2:
        raise ValueError("the length in front does not fit")
    packet = data[2:]
    try:
        message = dns.message.from_wire(packet, ignore_trailing=True)
    except (dns.exception.DNSException, struct.error) as error:
        raise ValueError(str(error)) from error
    if message.id != 0:
        raise ValueError("the id of a message over QUIC is 0")
    if any(option.otype == KEEPALIVE for option in message.options):
        raise ValueError("edns-tcp-keepalive has no place in QUIC")
    return packet
