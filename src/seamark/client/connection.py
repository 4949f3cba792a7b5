"""One HTTP/1.1 connection of the client, on httptools: one exchange at a time, body whole or as it comes.

Rule: a connection is either idle (may be used), busy (an exchange runs) or lost (never used again). An exchange that
is left before its end loses the connection: the rest of the answer cannot be told from the next one.

A body that is read slower than it arrives stops the socket (``HIGH_WATER``), so a slow watcher holds no memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import httptools

from seamark.client.base import TransportError

HIGH_WATER = 1 << 20


class LostError(TransportError):
    """The connection ended in the middle of an exchange. ``answered``: something had come back already."""

    def __init__(self, reason: str, *, answered: bool) -> None:
        super().__init__(reason)
        self.answered = answered


class Head:
    """Status and headers of an answer (names in lower case; ``warnings`` as sent)."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.warnings: list[str] = []


class Connection(asyncio.Protocol):
    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.idle = True
        self._transport: asyncio.Transport | None = None
        self._lost: str | None = None
        self._last = False  # the server ends the connection after this answer
        self._parser = httptools.HttpResponseParser(self)
        self._head = Head()
        self._has_head = False
        self._done = False
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def lost(self) -> bool:
        return self._lost is not None or self._last

    async def send(self, data: bytes) -> Head:
        """Writes a request and waits for the head of its answer."""
        assert self._transport is not None
        self.idle = False
        self._parser = httptools.HttpResponseParser(self)
        self._head, self._has_head, self._done = Head(), False, False
        self._transport.write(data)
        while not self._has_head:
            if self._lost is not None:
                raise LostError(f"{self.peer}: {self._lost}", answered=self._head.status != 0)
            await self._wait()
        return self._head

    async def body(self, release: Callable[[Connection], None]) -> AsyncIterator[bytes]:
        """The rest of the answer; ``release`` is called at its end, or with a lost connection when left early."""
        try:
            while True:
                while self._chunks:
                    chunk = self._chunks.popleft()
                    self._held -= len(chunk)
                    self._resume()
                    yield chunk
                if self._done:
                    break
                if self._lost is not None:
                    raise LostError(f"{self.peer}: {self._lost}", answered=True)
                await self._wait()
            self.idle = True
        finally:
            if not self.idle:
                self.abort()
            release(self)

    def abort(self) -> None:
        self._lost = self._lost or "closed by this client"
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TLS transport is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self.idle:
            self.abort()  # an answer nobody asked for
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._lost = f"the server does not speak HTTP/1.1: {error}"
            self.abort()
        self._notify()

    def eof_received(self) -> bool:
        headers = self._head.headers
        if self._has_head and "content-length" not in headers and "transfer-encoding" not in headers:
            self._done = True  # RFC 9112 §6.3: without a length the body ends with the connection
        self._lost = self._lost or "the server closed the connection"
        self._notify()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._lost or (str(exc) if exc else "the server closed the connection")
        self._notify()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
        if key == "warning":
            self._head.warnings.append(text)
        self._head.headers[key] = text

    def on_headers_complete(self) -> None:
        self._head.status = self._parser.get_status_code()
        self._has_head = self._head.status >= 200
        self._last = not self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._held += len(body)
        if self._held > HIGH_WATER and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def on_message_complete(self) -> None:
        if self._has_head:
            self._done = True
        else:
            self._head = Head()  # a 1xx: the answer proper follows

    def _resume(self) -> None:
        if self._paused and self._held <= HIGH_WATER // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def _wait(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
