"""The bytes of a connection whose HTTP part is over, with back-pressure in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seamark.api.websocket import Duplex
from seamark.machinery.streams import ByteStream

_HIGH, _LOW = 256 << 10, 64 << 10  # bytes read ahead of the consumer
_CHUNK = 32 << 10


@dataclass(frozen=True, slots=True)
class RawUpgrade:
    """The answer to a request that becomes another protocol: the headers of its 101, and what runs on the bytes."""

    headers: Mapping[str, str]
    run: Callable[[ByteStream], Awaitable[None]]


class ByteChannel:
    """A ``machinery.streams.ByteStream`` that the protocol feeds."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]], transport: asyncio.Transport) -> None:
        self._write = write
        self._transport = transport
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._paused = False
        self.over = False

    def feed(self, data: bytes) -> None:
        if not data:
            return
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) >= _HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def lost(self) -> None:
        self.over = True
        self._arrived.set()

    def take(self) -> bytes:
        """Everything that has arrived."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._relax()
        return data

    async def read(self) -> bytes:
        while not self._buffer:
            if self.over:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._buffer[:_CHUNK])
        del self._buffer[:_CHUNK]
        self._relax()
        return data

    def _relax(self) -> None:
        if self._paused and len(self._buffer) <= _LOW:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        await self._write(data)

    async def end(self) -> None:
        """TLS has no half of an end: the connection closes when its upgrade is done."""

    def close(self) -> None:
        self._transport.close()


class TunnelledBytes:
    """The same over the binary messages of a WebSocket, whose borders mean nothing."""

    def __init__(self, socket: Duplex) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while (message := await self._socket.receive()) is not None:
            if message:
                return message
        return b""

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), _CHUNK):
            await self._socket.send(data[at : at + _CHUNK])

    async def end(self) -> None:
        await self._socket.close()

    def close(self) -> None:
        """The WebSocket closes with its upgrade."""


async def join(one: ByteStream, other: ByteStream) -> None:
    """Copies both ways; each end travels on alone, and when both have ended it is over. Raises OSError."""
    pumps = asyncio.create_task(_pour(one, other)), asyncio.create_task(_pour(other, one))
    try:
        await asyncio.gather(*pumps)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pour(source: ByteStream, target: ByteStream) -> None:
    while data := await source.read():
        await target.write(data)
    await target.end()
