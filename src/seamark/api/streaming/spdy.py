"""A SPDY session on a connection: streams that the client opens, each read and written by itself.

One task reads the connection. What nobody has consumed yet is bounded over all streams together; beyond that the
connection is not read, since Kubernetes' clients know no windows of a stream.
"""

from __future__ import annotations

import asyncio
import logging

from seamark.machinery.spdy.connection import (
    Connection,
    DataReceived,
    Event,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WindowOpened,
)
from seamark.machinery.spdy.frames import CANCEL, SpdyError
from seamark.machinery.streams import ByteStream

_log = logging.getLogger(__name__)

_HELD = 1 << 20  # bytes
_CHUNK = 32 << 10
_LINGER = 2.0  # real seconds in which the client may take leave


class SpdyStream:
    """A ``machinery.streams.ByteStream``; ``headers`` are those it was opened with."""

    def __init__(self, session: SpdySession, number: int, headers: dict[str, str]) -> None:
        self.number = number
        self.headers = headers
        self.received: list[bytes] = []
        self.ended = False
        self.broken = False
        self.arrived = asyncio.Event()
        self._session = session

    async def read(self) -> bytes:
        """Raises ConnectionResetError where the client has reset the stream."""
        while not self.received:
            if self.broken:
                raise ConnectionResetError("the stream was reset")
            if self.ended:
                return b""
            self.arrived.clear()
            await self.arrived.wait()
        return await self._session.consume(self)

    async def write(self, data: bytes) -> None:
        await self._session.write(self.number, data)

    async def end(self) -> None:
        await self._session.end(self.number)

    def close(self) -> None:
        """Ends both directions; nothing more is read."""
        self._session.reset(self)


class SpdySession:
    """``run`` reads until the client is gone; ``accept`` gives the streams it opens."""

    def __init__(self, channel: ByteStream) -> None:
        self._channel = channel
        self._connection = Connection(server=True, strict_windows=False)
        self._streams: dict[int, SpdyStream] = {}
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._held = 0
        self._over = False

    async def run(self) -> None:
        try:
            while data := await self._channel.read():
                for event in self._connection.receive(data):
                    self._on(event)
                await self.flush()
                while self._held > _HELD:
                    await self._change()
        except SpdyError as error:
            _log.info("SPDY connection ended reason=%s", error)
            await self.flush()
        except ConnectionError:
            pass
        finally:
            self._end_all()

    async def accept(self) -> SpdyStream | None:
        """The next stream; None once the client is gone."""
        stream = await self._opened.get()
        if stream is None:
            self._opened.put_nowait(None)
            return None
        self._connection.reply(stream.number)
        await self.flush()
        return stream

    async def finish(self) -> None:
        """Ends what is open on our side and lets the client take leave: a close at once could destroy what it has
        not read yet.
        """
        for number in list(self._streams):
            await self.end(number)
        self._connection.go_away()
        await self.flush()
        try:
            async with asyncio.timeout(_LINGER):
                while not self._over:
                    self._drop_received()
                    await self._change()
        except TimeoutError:
            pass

    def _drop_received(self) -> None:
        for stream in self._streams.values():
            stream.received.clear()
        if self._held:
            self._held = 0
            self._tell()

    def _on(self, event: Event) -> None:
        if isinstance(event, StreamOpened):
            stream = self._streams[event.stream] = SpdyStream(self, event.stream, dict(event.headers))
            self._opened.put_nowait(stream)
            return
        if isinstance(event, WindowOpened):
            self._tell()
            return
        if not isinstance(event, (DataReceived, StreamEnded, StreamReset)):
            return
        found = self._streams.get(event.stream)
        if found is None:
            return
        if isinstance(event, DataReceived):
            found.received.append(event.data)
            self._held += len(event.data)
        else:
            found.ended = True
            found.broken = found.broken or isinstance(event, StreamReset)
        found.arrived.set()
        self._tell()
        self._forget_if_over(found)

    def _forget_if_over(self, stream: SpdyStream) -> None:
        """Its object stays readable; only the table lets go."""
        if stream.ended and not self._connection.is_open(stream.number):
            self._streams.pop(stream.number, None)

    async def consume(self, stream: SpdyStream) -> bytes:
        data = b"".join(stream.received)
        stream.received.clear()
        self._held -= len(data)
        self._connection.consumed(stream.number, len(data))
        self._tell()
        await self.flush()
        return data

    async def write(self, number: int, data: bytes) -> None:
        """Raises ConnectionError when the stream or the client is gone."""
        view = memoryview(data)
        while view:
            room = self._connection.sendable(number)
            if self._over or not self._connection.is_open(number):
                raise ConnectionResetError("the stream is closed")
            if room == 0:
                await self._change()
                continue
            piece = view[: min(room, _CHUNK)]
            self._connection.send(number, bytes(piece))
            view = view[len(piece) :]
            await self.flush()

    async def end(self, number: int) -> None:
        if self._connection.is_open(number):
            self._connection.send(number, b"", fin=True)
            found = self._streams.get(number)
            if found is not None:
                self._forget_if_over(found)
            await self.flush()

    def reset(self, stream: SpdyStream) -> None:
        """Nothing waits: ``flush`` sends it."""
        self._connection.reset(stream.number, CANCEL)
        self._held -= sum(len(data) for data in stream.received)
        stream.received.clear()
        stream.ended = stream.broken = True
        stream.arrived.set()
        self._streams.pop(stream.number, None)
        self._tell()

    async def flush(self) -> None:
        """Sends what the connection has to say."""
        data = self._connection.take()
        if data:
            await self._channel.write(data)

    def _tell(self) -> None:
        self._changed.set()

    async def _change(self) -> None:
        """Waits for the next change of anything."""
        if self._changed.is_set():
            self._changed = asyncio.Event()
        await self._changed.wait()

    def _end_all(self) -> None:
        self._over = True
        for stream in self._streams.values():
            stream.ended = stream.broken = True
            stream.arrived.set()
        self._opened.put_nowait(None)
        self._tell()
