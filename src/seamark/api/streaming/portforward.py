"""The connections of ``kubectl port-forward``: each a pair of streams, its data and what went wrong with it.

Over SPDY, bare or inside a WebSocket, the client opens ``data`` and ``error`` with a port and an id that joins them.
Over a WebSocket of the older kind (Python's client) the ports stand in the query: channel 2i is the data of the i-th,
2i+1 its errors, and the first message on each is the port, two bytes, little end first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from seamark.api.streaming.channel import join
from seamark.api.streaming.spdy import SpdySession, SpdyStream
from seamark.api.websocket import Duplex
from seamark.machinery.status import StatusError
from seamark.machinery.streams import ByteStream

_log = logging.getLogger(__name__)

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
CHANNEL_PROTOCOLS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")
_CHUNK = 32 << 10
_PAIR_TIME = 30.0  # real seconds for the second stream of a pair
_PREFIX = "Internal error occurred: "
_AHEAD = 64  # messages of one port that wait for its connection

Dial = Callable[[int], Awaitable[ByteStream]]
"""A connection to a port of the pod. Raises StatusError with the text to show."""


async def forward_streams(channel: ByteStream, dial: Dial) -> None:
    """Serves pairs of streams until the client is gone."""
    session = SpdySession(channel)
    async with asyncio.TaskGroup() as group:
        forwarding = group.create_task(_accept_pairs(session, dial))
        await session.run()
        forwarding.cancel()


async def _accept_pairs(session: SpdySession, dial: Dial) -> None:
    waiting: dict[str, dict[str, SpdyStream]] = {}
    async with asyncio.TaskGroup() as group:

        async def expire(key: str, stream: SpdyStream) -> None:
            await asyncio.sleep(_PAIR_TIME)
            if waiting.pop(key, None):
                await _refuse(session, stream)

        timers: dict[str, asyncio.Task[None]] = {}
        while (stream := await session.accept()) is not None:
            kind, port = stream.headers.get("streamtype", ""), parse_port(stream.headers.get("port", ""))
            if kind not in ("data", "error") or port is None:
                await _refuse(session, stream)
                continue
            key = stream.headers.get("requestid") or str((stream.number - 1) // 4)  # old clients: error, then data
            pair = waiting.setdefault(key, {})
            if kind in pair:
                await _refuse(session, stream)
                continue
            pair[kind] = stream
            if len(pair) < 2:
                timers[key] = group.create_task(expire(key, stream))
                continue
            timers.pop(key).cancel()
            del waiting[key]
            group.create_task(_forward(session, pair["data"], pair["error"], port, dial))


async def _refuse(session: SpdySession, stream: SpdyStream) -> None:
    stream.close()
    with contextlib.suppress(ConnectionError):
        await session.flush()


async def _forward(session: SpdySession, data: SpdyStream, error: SpdyStream, port: int, dial: Dial) -> None:
    """One connection. What fails once it stands just ends it, as a connection does."""
    try:
        try:
            upstream = await dial(port)
        except Exception as refused:  # whatever it is, it is this connection's alone
            await error.write(_describe(refused).encode())
            await data.end()
            return
        try:
            await join(data, upstream)
        except OSError as broken:
            _log.debug("port-forward ended port=%d reason=%s", port, broken)
            data.close()
        finally:
            upstream.close()
    except ConnectionError:
        pass  # the client is gone
    finally:
        with contextlib.suppress(ConnectionError):
            await error.end()


class ChannelForward:
    """One connection for each of ``ports``, over the channels of one WebSocket."""

    def __init__(self, socket: Duplex, ports: Sequence[int], dial: Dial) -> None:
        self._socket = socket
        self._ports = tuple(ports)
        self._dial = dial
        self._inputs: list[asyncio.Queue[bytes]] = [asyncio.Queue(_AHEAD) for _ in ports]

    async def run(self) -> None:
        """Until the client is gone or all connections have ended."""
        tasks = asyncio.create_task(self._read()), asyncio.create_task(self._forward_all())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done():
                await self._socket.close()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        while (message := await self._socket.receive()) is not None:
            channel = message[0] if message else 1
            if channel % 2 == 0 and channel // 2 < len(self._ports) and len(message) > 1:
                await self._inputs[channel // 2].put(message[1:])

    async def _forward_all(self) -> None:
        await asyncio.gather(*(self._forward(index) for index in range(len(self._ports))))

    async def _forward(self, index: int) -> None:
        port, data, error = self._ports[index], bytes([2 * index]), bytes([2 * index + 1])
        for channel in (data, error):
            await self._socket.send(channel + port.to_bytes(2, "little"))
        try:
            upstream = await self._dial(port)
        except Exception as refused:  # whatever it is, it is this connection's alone
            await self._socket.send(error + _describe(refused).encode())
            return
        typed = asyncio.create_task(self._pour(index, upstream))
        try:
            while received := await upstream.read():
                for at in range(0, len(received), _CHUNK):
                    await self._socket.send(data + received[at : at + _CHUNK])
        except OSError as broken:
            _log.debug("port-forward ended port=%d reason=%s", port, broken)
        finally:
            typed.cancel()
            await asyncio.gather(typed, return_exceptions=True)
            upstream.close()

    async def _pour(self, index: int, upstream: ByteStream) -> None:
        while True:
            await upstream.write(await self._inputs[index].get())


def _describe(error: Exception) -> str:
    if isinstance(error, StatusError):
        return error.message.removeprefix(_PREFIX)
    _log.error("port-forward failed", exc_info=error)
    return str(error)


def parse_port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) <= 0xFFFF else None
