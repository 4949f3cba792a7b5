"""The streams of exec and attach, as Kubernetes' "remote command" protocols carry them.

Over a WebSocket every message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the outcome, 4 terminal sizes;
v5 adds 255, which closes the channel named by the next byte, so that ``kubectl exec -i`` can end its input. Over SPDY
(v4 to v1) each is a stream whose ``streamtype`` header names it. Since v4 the outcome is a Status that holds the exit
code; before, a text that stands for failure; terminal sizes came with v3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from seamark.api.objects import encode
from seamark.api.streaming.spdy import SpdySession, SpdyStream
from seamark.api.websocket import Duplex
from seamark.machinery.status import StatusError, internal
from seamark.machinery.streams import ByteStream, ExecIO, TerminalSize

_log = logging.getLogger(__name__)

WEBSOCKET_PROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 32 << 10
_ALL_STREAMS_TIME = 30.0  # real seconds for the client to open the streams it asked for

Work = Callable[[ExecIO], Awaitable[dict[str, Any]]]
"""What runs on the streams; its result is the final Status. StatusError says what went wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams of a session."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


class WebSocketCommand:
    """A ``machinery.streams.ExecIO`` over a WebSocket."""

    def __init__(self, socket: Duplex, wanted: Wanted, protocol: str) -> None:
        self._socket = socket
        self._protocol = protocol
        self._wanted = wanted
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        self._sizes: asyncio.Queue[TerminalSize] = asyncio.Queue()
        self._stdin_over = not wanted.stdin

    async def run(self, work: Work) -> None:
        """A client that goes away ends the work."""
        status = await run_beside(self._read(), work(self))
        if status is not None:
            outcome = render_outcome(status, self._protocol)
            if outcome:
                await self._socket.send(bytes([ERROR]) + outcome)
            await self._socket.close()

    async def _read(self) -> None:
        while (message := await self._socket.receive()) is not None:
            if not message:
                continue
            channel, data = message[0], message[1:]
            if channel == STDIN and data and not self._stdin_over:
                await self._stdin.put(data)
            elif channel == CLOSE and data[:1] == bytes([STDIN]) and not self._stdin_over:
                await self._stdin.put(b"")
            elif channel == RESIZE and (size := parse_size(data)) is not None:
                self._sizes.put_nowait(size)

    async def read_stdin(self) -> bytes:
        if self._stdin_over:
            return b""
        data = await self._stdin.get()
        self._stdin_over = not data
        return data

    async def write_stdout(self, data: bytes) -> None:
        if self._wanted.stdout:
            await self._send(STDOUT, data)

    async def write_stderr(self, data: bytes) -> None:
        if self._wanted.stderr:
            await self._send(STDERR, data)

    async def next_resize(self) -> TerminalSize:
        return await self._sizes.get()

    async def _send(self, channel: int, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            await self._socket.send(bytes([channel]) + data[start : start + _CHUNK])


class SpdyCommand:
    """The same over SPDY."""

    def __init__(self, channel: ByteStream, wanted: Wanted, protocol: str) -> None:
        self._session = SpdySession(channel)
        self._protocol = protocol
        self._streams: dict[str, SpdyStream] = {}
        self._sizes = bytearray()
        self._expected = {"error"} | {s for s in ("stdin", "stdout", "stderr") if getattr(wanted, s)}
        if wanted.tty and protocol in SPDY_PROTOCOLS[:2]:
            self._expected.add("resize")

    async def run(self, work: Work) -> None:
        """A client that goes away, or opens no streams, ends it."""
        reading = asyncio.create_task(self._session.run())
        try:
            if not await self._collect():
                return
            status = await run_beside(asyncio.shield(reading), work(self))
            if status is not None:
                await self._report(status)
                await self._session.finish()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _collect(self) -> bool:
        """Whether every stream was opened in time."""
        try:
            async with asyncio.timeout(_ALL_STREAMS_TIME):
                while self._streams.keys() != self._expected:
                    stream = await self._session.accept()
                    if stream is None:
                        return False
                    kind = stream.headers.get("streamtype", "")
                    if kind in self._expected and kind not in self._streams:
                        self._streams[kind] = stream
                    else:
                        stream.close()
                        await self._session.flush()
        except TimeoutError:
            return False
        return True

    async def _report(self, status: dict[str, Any]) -> None:
        await self._streams["error"].write(render_outcome(status, self._protocol))

    async def read_stdin(self) -> bytes:
        stream = self._streams.get("stdin")
        return await stream.read() if stream else b""

    async def write_stdout(self, data: bytes) -> None:
        await self._write("stdout", data)

    async def write_stderr(self, data: bytes) -> None:
        await self._write("stderr", data)

    async def _write(self, kind: str, data: bytes) -> None:
        stream = self._streams.get(kind)
        if stream is not None:
            await stream.write(data)

    async def next_resize(self) -> TerminalSize:
        """Sizes are JSON objects, a line each."""
        stream = self._streams.get("resize")
        while stream is not None:
            line, newline, rest = self._sizes.partition(b"\n")
            if newline:
                self._sizes = rest
                size = parse_size(bytes(line))
                if size is not None:
                    return size
                continue
            data = await stream.read()
            if not data or len(self._sizes) > _CHUNK:
                break
            self._sizes += data
        never: asyncio.Future[TerminalSize] = asyncio.get_running_loop().create_future()
        return await never


async def run_beside(reading: Awaitable[None], working: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    """The outcome of the work; None when the reading ended before, which ends the work."""
    tasks = asyncio.ensure_future(reading), asyncio.ensure_future(working)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return _outcome(tasks[1]) if tasks[1].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _outcome(working: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    error = working.exception()
    if error is None:
        return working.result()
    if isinstance(error, StatusError):
        return error.as_dict()
    if not isinstance(error, ConnectionError):
        _log.error("streams failed error=%r", error)
    return internal(f"error executing command in container: {error}").as_dict()


def render_outcome(status: dict[str, Any], protocol: str) -> bytes:
    """What is said on the error channel; before v4 success is silence."""
    if protocol.startswith(("v5.", "v4.")):
        return encode(status)
    return b"" if status["status"] == "Success" else str(status["message"]).encode()


SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}


def render_exit(code: int) -> dict[str, Any]:
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def parse_size(data: bytes) -> TerminalSize | None:
    """None for what is no ``{"Width":…,"Height":…}``."""
    try:
        found = msgspec.json.decode(data)
        width, height = int(found["Width"]), int(found["Height"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    return TerminalSize(width, height) if 0 < width <= 0xFFFF and 0 < height <= 0xFFFF else None
