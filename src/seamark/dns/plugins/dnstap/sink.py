"""Sends frames to a sink that listens: connects, shakes hands, connects again. Drops what is too much."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from seamark.dns.host import Host
from seamark.dns.plugins.dnstap.config import Config
from seamark.dns.plugins.dnstap.message import render_frame
from seamark.dns.plugins.dnstap.stream import BROKEN, PATIENCE, begin, finish

PAUSE = 1.0
"""Seconds between attempts to connect."""
MIB = 1 << 20


class Sink:
    def __init__(self, config: Config, host: Host) -> None:
        self._config = config
        self._host = host
        self._frames: deque[bytes] = deque()
        self._waiting = asyncio.Event()
        self._dropped = 0
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, data: bytes) -> None:
        if len(self._frames) >= self._config.queue:
            self._dropped += 1
            return
        self._frames.append(render_frame(data))
        self._waiting.set()

    async def _run(self) -> None:
        """Until cancelled; then tells the sink that this was all."""
        while True:
            try:
                reader, writer = await self._connect()
            except BROKEN as error:
                self._tell(error)
                await self._host.clock.sleep(PAUSE)
                continue
            self._is_away = False
            try:
                await self._send(writer)
            except OSError as error:
                self._tell(error)
            except asyncio.CancelledError:
                await finish(reader, writer, b"".join(self._frames))
                raise
            finally:
                writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await self._open()
        try:
            await begin(reader, writer)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        config = self._config
        if config.path:
            return await asyncio.open_unix_connection(config.path)
        tls = ssl.create_default_context() if config.secure else None
        if tls is not None and not config.verify:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return await asyncio.open_connection(config.host, config.port, ssl=tls)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._waiting.wait()
            batch, size = [], 0
            while self._frames and size < self._config.buffer * MIB:
                batch.append(self._frames.popleft())
                size += len(batch[-1])
            if not self._frames:
                self._waiting.clear()
            writer.write(b"".join(batch))
            await writer.drain()
            if self._dropped:
                self._host.log(f"[WARNING] plugin/dnstap: Dropped dnstap messages: {self._dropped}")
                self._dropped = 0

    def _tell(self, error: BaseException) -> None:
        if not self._is_away:  # once, until it is there again
            why = str(error) or type(error).__name__
            self._host.log(f"[ERROR] plugin/dnstap: No connection to dnstap endpoint: {self._config.where}: {why}")
        self._is_away = True
