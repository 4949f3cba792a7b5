"""HTTP/1.1 on one connection: bytes to a Request, a Response to bytes (RFC 9112).

Rule: one request is answered at a time, in order; what a client pipelines waits, and reading pauses meanwhile. A
stream is written chunk by chunk under the transport's own back-pressure, its head before the first chunk. Whatever a
client does too slowly (headers, body, reading an answer) ends the connection after a limit, and so does too much.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

import httptools

from seamark.api.httprender import render_head, render_response, render_switch
from seamark.api.objects import encode
from seamark.api.respond import close_stream
from seamark.api.streaming.channel import ByteChannel, RawUpgrade
from seamark.api.websocket import Upgrade
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request, Response

if TYPE_CHECKING:
    from seamark.api.websocketframes import WebSocket

_log = logging.getLogger(__name__)

Serve = Callable[[Request, bytes | None], Awaitable[Response | Upgrade | RawUpgrade]]
"""The request without identity, and the client's certificate (DER) where it showed one."""

_LAST_ANSWER = 2.0  # seconds that a request under way has when the server closes


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    body: int = 3 << 20
    head: int = 64 << 10
    head_time: float = 30.0
    body_time: float = 60.0
    idle_time: float = 180.0
    write_time: float = 60.0


class HttpProtocol(asyncio.Protocol):
    """One connection. ``connections`` is the server's set of open ones."""

    def __init__(self, serve: Serve, limits: Limits, connections: set[HttpProtocol]) -> None:
        self._serve = serve
        self._limits = limits
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._certificate: bytes | None = None
        self._source = ""
        self._waiting: deque[tuple[Request, bool]] = deque()  # and whether it may be answered in chunks
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: float | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._socket: WebSocket | ByteChannel | None = None  # once HTTP is over
        self._closing = False
        self._streaming = False
        self._may_stop = True  # when the client is gone: what writes goes on to its end
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_size = 0
        self._body_size = 0
        self._in_head = False
        self._in_body = False

    # -- transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._source = str((transport.get_extra_info("peername") or ("",))[0])
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self._certificate = ssl_object.getpeercert(binary_form=True)
        peer = transport.get_extra_info("socket")
        if peer is not None:  # a watcher whose machine vanished is found out by the kernel
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections.add(self)
        self._arm(self._limits.head_time)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._writable.set()
        if self._socket is not None:
            self._socket.lost()
        if self._task is not None and self._may_stop:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            return
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._begin_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            refusal = error.__context__
            self._refuse(refusal if isinstance(refusal, StatusError) else _malformed(error))
        except httptools.HttpParserError as error:
            self._refuse(_malformed(error))
        else:
            self._head_size += len(data) if self._in_head else 0
            if self._head_size > self._limits.head:
                self._refuse(_head_too_large())

    # -- parser --------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._reset()
        self._in_head = True
        if self._task is None:
            self._arm(self._limits.head_time)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size + len(self._url) > self._limits.head:
            raise _head_too_large()
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._headers:
            # Whom to act as is a list of whole values, which may hold commas themselves.
            text = self._headers[key] + ("\n" if key.startswith("impersonate-") else ", ") + text
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body, self._head_size = False, True, 0
        length = self._headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.body:
            raise _body_too_large(self._limits.body)
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._task is None:
            self._arm(self._limits.body_time)

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size > self._limits.body:
            raise _body_too_large(self._limits.body)
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._in_body = False
        url = httptools.parse_url(self._url)
        path = (url.path or b"/").decode("latin-1")
        raw_query = (url.query or b"").decode("latin-1")
        query = parse_qsl(raw_query, keep_blank_values=True)
        if not self._parser.should_keep_alive() or self._parser.get_http_version() == "1.0":
            self._headers["connection"] = self._headers.get("connection", "close")
        method = self._parser.get_method().decode("latin-1")
        request = Request(
            method, path, tuple(query), self._headers, b"".join(self._body), raw_query=raw_query, source=self._source
        )
        self._waiting.append((request, self._parser.get_http_version() != "1.0"))
        if self._parser.should_upgrade():
            return  # HttpParserUpgrade follows
        self._next()

    # -- requests ------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begins the next request, if none is being answered."""
        if self._transport is None or self._closing:
            return
        if self._task is not None:
            self._transport.pause_reading()
            return
        if not self._waiting:
            if self._in_head or self._in_body:
                self._arm(self._limits.head_time if self._in_head else self._limits.body_time)
            else:
                self._arm(self._limits.idle_time)
            return
        self._disarm()
        request, chunked = self._waiting.popleft()
        self._may_stop = request.method == "GET"
        self._task = asyncio.get_running_loop().create_task(self._answer(request, chunked=chunked))

    async def _answer(self, request: Request, *, chunked: bool) -> None:
        keep = "close" not in request.headers.get("connection", "").lower()
        try:
            response = await self._serve(request, self._certificate)
            if isinstance(response, (Upgrade, RawUpgrade)):
                response = _not_upgraded()
            if response.stream is None:
                await self._write(render_response(request, response, keep=keep))
            else:
                keep = keep and (chunked or "content-length" in response.headers)
                await self._write_stream(response, chunked=chunked, keep=keep)
        except asyncio.CancelledError:
            raise
        except ConnectionError:
            keep = False
        except Exception:
            _log.exception("answer failed method=%s path=%s", request.method, request.path)
            keep = False
        self._end(keep=keep)

    def _end(self, *, keep: bool) -> None:
        self._task = None
        if self._transport is None:
            return
        if not keep or self._closing:
            self._closing = True
            self._transport.close()
            return
        self._transport.resume_reading()
        self._next()

    async def _write_stream(self, response: Response, *, chunked: bool, keep: bool) -> None:
        """The head goes out at once: clients of a watch wait for it before anything happens."""
        assert response.stream is not None
        self._streaming = self._may_stop = True
        sized = "content-length" in response.headers  # passed on from elsewhere, byte by byte
        chunked = chunked and not sized
        if chunked:
            response.headers["transfer-encoding"] = "chunked"
        await self._write(render_head(response, keep=keep))
        write = self._write_patiently if response.patient else self._write
        try:
            async for chunk in response.stream:
                if chunk:
                    await write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        finally:
            await close_stream(response.stream)
        if chunked:
            await self._write(b"0\r\n\r\n")
        self._streaming = False

    async def _write_patiently(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone; a person may leave a terminal or a download for hours."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        await self._writable.wait()

    async def _write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone or reads nothing for too long."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(self._limits.write_time):
                await self._writable.wait()
        except TimeoutError:
            self._transport.abort()
            raise ConnectionResetError("the client does not read") from None

    # -- upgrades ------------------------------------------------------------------------------------------------

    def _begin_upgrade(self, early: bytes) -> None:
        if self._task is not None or not self._waiting or self._transport is None:
            self._refuse(_malformed("an upgrade cannot be pipelined"))
            return
        self._disarm()
        self._streaming = self._may_stop = True
        request, _ = self._waiting.popleft()
        channel = self._socket = ByteChannel(self._write_patiently, self._transport)
        channel.feed(early)
        self._task = asyncio.get_running_loop().create_task(self._run_upgrade(request, channel))

    async def _run_upgrade(self, request: Request, channel: ByteChannel) -> None:
        """An answer instead of an upgrade is an ordinary response; the connection ends after either."""
        try:
            found = await self._serve(request, self._certificate)
            if isinstance(found, Upgrade):
                await found.run(await self._speak_websocket(request, channel, found))
            elif isinstance(found, RawUpgrade):
                await self._write(render_switch(found.headers))
                await found.run(channel)
            elif found.stream is None:
                await self._write(render_response(request, found, keep=False))
            else:
                await self._write_stream(found, chunked=True, keep=False)
        except ConnectionError:
            pass
        except Exception:
            _log.exception("upgraded connection failed path=%s", request.path)
        self._end(keep=False)

    async def _speak_websocket(self, request: Request, channel: ByteChannel, upgrade: Upgrade) -> WebSocket:
        from seamark.api.websocketframes import WebSocket, render_handshake  # not before somebody wants one

        assert self._transport is not None
        await self._write(render_handshake(request, upgrade.subprotocol))
        socket = self._socket = WebSocket(self._write_patiently, self._transport, upgrade)
        socket.feed(channel.take())
        if channel.over:
            socket.lost()
        return socket

    # -- limits --------------------------------------------------------------------------------------------------

    def _refuse(self, error: StatusError) -> None:
        """Answers what cannot even be parsed, and ends the connection."""
        if self._transport is None or self._closing:
            return
        self._closing = True
        if self._task is None:
            body = encode(error.as_dict())
            response = Response(error.code, body, {"content-type": "application/json"})
            self._transport.write(render_head(response, keep=False, length=len(body)) + body)
            self._transport.close()

    def _arm(self, seconds: float) -> None:
        """A deadline; the timer behind it is only moved when it would come too late, since most are never met."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + seconds
        if self._timer is not None and self._timer_at > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer_at = self._deadline
            self._timer = loop.call_at(self._timer_at, self._wake_up)

    def _disarm(self) -> None:
        self._deadline = None

    def _wake_up(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - asyncio.get_running_loop().time()
        if left > 0:
            self._arm(left)
        else:
            self._time_out()

    def _time_out(self) -> None:
        if self._transport is None:
            return
        if self._in_head or self._in_body:
            self._refuse(StatusError(408, "Timeout", "the request did not arrive in time"))
        else:
            self._transport.close()

    async def shut_down(self) -> None:
        """Ends what runs and closes: streams at once, a plain request after its answer."""
        self._closing = True
        task = self._task
        if task is not None:
            if not self._streaming:
                await asyncio.wait({task}, timeout=_LAST_ANSWER)
            task.cancel()
            await asyncio.wait({task}, timeout=5)
        if self._transport is not None:
            self._transport.close()


def _malformed(error: object) -> StatusError:
    return StatusError(400, "BadRequest", f"malformed HTTP request: {error}")


def _head_too_large() -> StatusError:
    return StatusError(431, "BadRequest", "the request's headers are too large")


def _body_too_large(limit: int) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def _not_upgraded() -> Response:
    error = StatusError(400, "BadRequest", "Upgrade request required")
    return Response(400, encode(error.as_dict()), {"content-type": "application/json"})
