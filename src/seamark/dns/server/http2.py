"""HTTP/2 on one connection (RFC 9113), for DNS over HTTPS and over gRPC: small requests, each answered by a function.

Framing, HPACK and flow control are the library h2's; here are the streams: a body of at most ``MAX_BODY``, an answer
in a task of its own, sent as the client's windows allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from seamark.dns.server.proxied import Reading
from seamark.dns.server.streams import Serving
from seamark.dns.waiting import within

MAX_BODY = 65536 + 64
READ = 65536
DEFAULT_STREAMS = 100
"""Streams of a connection at once where nothing bounds them (RFC 9113 §6.5.2 recommends no fewer)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. Header names are lower-case; pseudo headers are among them."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """``trailers`` come behind the body (gRPC)."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()


Respond = Callable[[Asked], Awaitable[Told]]


@dataclass(slots=True)
class _Stream:
    headers: Mapping[str, str]
    body: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None


class Http2Connection:
    def __init__(self, respond: Respond, serving: Serving) -> None:
        self._respond = respond
        self._clock = serving.clock
        self._timeouts = serving.timeouts
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: serving.limits().streams or DEFAULT_STREAMS}
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        self._streams: dict[int, _Stream] = {}
        self._window = asyncio.Event()

    async def run(self, reader: Reading, writer: asyncio.StreamWriter) -> None:
        """Until the client goes, is silent, or breaks the protocol."""
        self._h2.initiate_connection()
        self._flush(writer)
        try:
            while data := await within(self._clock, self._timeouts().idle, reader.read(READ)):
                for event in self._h2.receive_data(data):
                    if isinstance(event, h2.events.ConnectionTerminated):
                        return
                    self._take(event, writer)
                self._flush(writer)
                await within(self._clock, self._timeouts().write, writer.drain())
        except h2.exceptions.ProtocolError:
            self._flush(writer)  # what h2 has to say about it
        finally:
            for stream in self._streams.values():
                if stream.task is not None:
                    stream.task.cancel()

    def _take(self, event: h2.events.Event, writer: asyncio.StreamWriter) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(number), headers=headers):
                self._streams[number] = _Stream({str(name): str(value) for name, value in headers or ()})
            case h2.events.DataReceived(stream_id=int(number), data=data, flow_controlled_length=length):
                self._h2.acknowledge_received_data(length or 0, number)
                stream = self._streams.get(number)
                if stream is not None:
                    stream.body += data or b""
                    if len(stream.body) > MAX_BODY:
                        self._reset(number)
            case h2.events.StreamEnded(stream_id=int(number)) if number in self._streams:
                task = asyncio.get_running_loop().create_task(self._answer(number, writer))
                self._streams[number].task = task
            case h2.events.StreamReset(stream_id=int(number)):
                stream = self._streams.pop(number, None)
                if stream is not None and stream.task is not None:
                    stream.task.cancel()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._window.set()

    def _reset(self, number: int) -> None:
        self._streams.pop(number, None)
        self._h2.reset_stream(number, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)

    async def _answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        stream = self._streams[number]
        told = await self._respond(Asked(stream.headers, bytes(stream.body)))
        try:
            self._h2.send_headers(number, told.headers)
            await self._send(number, told.body, writer, last=not told.trailers)
            if told.trailers:
                self._h2.send_headers(number, told.trailers, end_stream=True)
            self._flush(writer)
        except h2.exceptions.ProtocolError:
            pass  # the client has given the stream up meanwhile
        finally:
            self._streams.pop(number, None)

    async def _send(self, number: int, body: bytes, writer: asyncio.StreamWriter, *, last: bool) -> None:
        while True:
            size = min(len(body), self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if size or not body:
                self._h2.send_data(number, body[:size], end_stream=last and size == len(body))
                body = body[size:]
            self._flush(writer)
            if not body:
                return
            if not size:
                self._window.clear()
                await self._window.wait()

    def _flush(self, writer: asyncio.StreamWriter) -> None:
        if data := self._h2.data_to_send():
            writer.write(data)
