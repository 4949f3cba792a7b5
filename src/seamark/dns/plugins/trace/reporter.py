"""Spans to Zipkin, in batches (its API v2, JSON). What cannot be sent is dropped: tracing never holds a query up."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from seamark.client.base import TransportError
from seamark.client.http import HttpTransport
from seamark.dns.host import Host
from seamark.dns.plugins.trace.config import Config
from seamark.machinery.wire import Request

Span = dict[str, Any]
TIMEOUT = 5.0


class Reporter:
    def __init__(self, config: Config, host: Host) -> None:
        self._config = config
        self._host = host
        self._spans: deque[Span] = deque(maxlen=config.backlog)
        self._full = asyncio.Event()
        self._transport = HttpTransport(config.url, timeout=TIMEOUT)
        self._is_away = False

    def add(self, spans: list[Span]) -> None:
        """The oldest go when there are too many."""
        self._spans.extend(spans)
        if len(self._spans) >= self._config.batch:
            self._full.set()

    async def run(self) -> None:
        while True:
            alarm = asyncio.ensure_future(self._host.clock.sleep(self._config.interval))
            full = asyncio.ensure_future(self._full.wait())
            try:
                await asyncio.wait((alarm, full), return_when=asyncio.FIRST_COMPLETED)
            finally:
                alarm.cancel()
                full.cancel()
            self._full.clear()
            await self.send()

    async def send(self) -> None:
        """Everything there is."""
        while self._spans:
            batch = [self._spans.popleft() for _ in range(min(len(self._spans), self._config.batch))]
            await self._post(batch)

    async def close(self) -> None:
        await self.send()
        await self._transport.close()

    async def _post(self, batch: list[Span]) -> None:
        headers = {"content-type": "application/json"}
        request = Request("POST", self._config.path, headers=headers, body=json.dumps(batch).encode())
        try:
            status = (await self._transport(request)).status
            why = "" if status < 300 else f"HTTP status {status}"
        except TransportError as error:
            why = str(error)
        if why and not self._is_away:  # told once
            self._host.log(f"[WARNING] plugin/trace: spans cannot be sent: {self._config.url}: {why}")
        self._is_away = bool(why)
