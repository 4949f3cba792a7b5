"""One HTTP/1.1 request to a proxied server and its answer, on a connection of its own.

The answer is streamed as it comes. Headers that belong to one connection stay on it (RFC 9110 §7.6.1); credentials of
the client never leave this server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httptools

from seamark.machinery.streams import ByteStream
from seamark.machinery.wire import Request

_HOP_BY_HOP = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")) | frozenset(
    ("proxy-authenticate", "proxy-authorization", "proxy-connection")
)
_KEPT_BACK = frozenset(("authorization", "content-length", "expect"))
_HEAD_MAX = 64 << 10


class UpstreamError(Exception):
    """What came is no answer."""


@dataclass(slots=True)
class Answer:
    """``headers`` in lower case, joined where repeated but for cookies; ``upgraded`` after a 101."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    upgraded: bool = False


class Exchange:
    """``start`` gives the answer's head, ``body`` the rest of it, ``close`` ends the connection in any case."""

    def __init__(self, stream: ByteStream) -> None:
        self.early = b""  # what came behind a 101
        self.stream = stream
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(0)
        self._parts: list[bytes] = []
        self._in_body = self._complete = False
        self._size = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_complete(self) -> bool:
        return self._complete

    @property
    def has_data(self) -> bool:
        """Whether some of the body came with the head."""
        return bool(self._parts)

    async def start(self, method: str, head: bytes, body: bytes) -> Answer:
        """Raises UpstreamError, OSError."""
        self._sending = asyncio.create_task(self.stream.write(head + body))
        while not self._in_body:
            data = await self.stream.read()
            if not data:
                await self._sending  # a server that closes early may have said why
                raise UpstreamError("EOF")
            self._size += len(data)
            if self._size > _HEAD_MAX and not self._in_body:
                raise UpstreamError("the answer's head is too large")
            self._feed(data)
        if method == "HEAD" or self._answer.status in (204, 304):
            self._complete = True
        return self._answer

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._answer.upgraded = self._complete = True
            self.early = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise UpstreamError(f"malformed HTTP response: {error}") from None

    async def body(self) -> AsyncIterator[bytes]:
        """Raises UpstreamError when the answer breaks off."""
        try:
            while True:
                parts, self._parts = self._parts, []
                for part in parts:
                    yield part
                if self._complete:
                    return
                data = await self.stream.read()
                if data:
                    self._feed(data)
                elif "content-length" in self._answer.headers or "transfer-encoding" in self._answer.headers:
                    raise UpstreamError("unexpected EOF")
                else:
                    return  # the end of the connection is the end of the body
        finally:
            await self.close()

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._sending
        self.stream.close()

    # -- parser

    def on_message_begin(self) -> None:
        """Once more after an interim answer (100, 103)."""
        self._answer = Answer(0)
        self._in_body = self._complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "set-cookie":
            self._answer.cookies.append(text)
            return
        headers = self._answer.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._in_body = self._answer.status >= 200 or self._answer.status == 101

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self._complete = self._answer.status >= 200


def render_request(request: Request, target: str, *, forwarded_uri: str, upgrade: bool) -> bytes:
    """The head for the proxied server: a Host as the client named it, a connection of its own."""
    sent = passed_headers(request.headers, upgrade=upgrade)
    sent = {name: value for name, value in sent.items() if not _is_kept_back(name)}
    sent["x-forwarded-uri"] = forwarded_uri
    if not upgrade:
        sent["connection"] = "close"
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        sent["content-length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _is_kept_back(name: str) -> bool:
    return name in _KEPT_BACK or name.startswith("impersonate-")


def passed_headers(headers: Mapping[str, str], *, upgrade: bool = False) -> dict[str, str]:
    """Without those of the connection, and those that its ``connection`` header names."""
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in headers.get("connection", "").split(",")}
    if upgrade:
        dropped -= {"connection", "upgrade"}
    return {name: value for name, value in headers.items() if name not in dropped}
