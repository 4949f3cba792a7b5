"""Spans to where they are collected, in batches. What cannot be sent is dropped: tracing never holds a query up."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

import seamark
from seamark.client.base import TransportError
from seamark.client.http import HttpTransport
from seamark.dns.host import Host
from seamark.dns.plugins.trace.config import DATADOG, Config
from seamark.dns.plugins.trace.spans import Service, Span, render_datadog, render_zipkin
from seamark.machinery.wire import Request, Response

TIMEOUT = 5.0
APIS = ("/v0.4/traces", "/v0.3/traces")
"""Of Datadog's agent, the newest first: one that does not know the first is asked by the second from then on."""


class Destination(Protocol):
    def items(self, spans: Sequence[Span]) -> Sequence[Any]:
        """Of one trace: what waits, is counted and batched."""
        ...

    def request(self, batch: Sequence[Any]) -> Request: ...

    def hear(self, response: Response) -> bool:
        """What came of it; whether the same is to be sent once more."""
        ...


class Zipkin:
    def __init__(self, path: str, service: Service) -> None:
        self._path = path
        self._service = service

    def items(self, spans: Sequence[Span]) -> Sequence[Span]:
        return spans

    def request(self, batch: Sequence[Span]) -> Request:
        body = json.dumps([render_zipkin(span, self._service) for span in batch]).encode()
        return Request("POST", self._path, headers={"content-type": "application/json"}, body=body)

    def hear(self, response: Response) -> bool:
        return False


class Datadog:
    def __init__(self, service: Service, analytics: float) -> None:
        self._service = service
        self._analytics = analytics
        self._apis = list(APIS)
        self._rates: dict[str, float] = {}

    def items(self, spans: Sequence[Span]) -> Sequence[Sequence[Span]]:
        return (spans,)

    def request(self, batch: Sequence[Sequence[Span]]) -> Request:
        traces = [render_datadog(spans, self._service, self._rates, self._analytics) for spans in batch]
        headers = {
            "content-type": "application/msgpack",
            "datadog-meta-lang": "python",
            "datadog-meta-tracer-version": f"seamark-{seamark.__version__}",
            "datadog-client-computed-top-level": "t",
            "x-datadog-trace-count": str(len(traces)),
        }
        return Request("POST", self._apis[0], headers=headers, body=msgspec.msgpack.encode(traces))

    def hear(self, response: Response) -> bool:
        """The agent says what share of traces it wants."""
        if response.status in (404, 415) and len(self._apis) > 1:
            self._apis.pop(0)
            return True
        try:
            found = msgspec.json.decode(response.body)["rate_by_service"] if response.ok else {}
            self._rates |= {str(name): float(rate) for name, rate in found.items()}
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            pass  # v0.3 says "OK"
        return False


class Reporter:
    def __init__(self, config: Config, host: Host, service: Service) -> None:
        self._config = config
        self._host = host
        self._to: Destination = (
            Datadog(service, config.analytics) if config.kind == DATADOG else Zipkin(config.path, service)
        )
        self._waiting: deque[Any] = deque(maxlen=config.backlog)
        self._full = asyncio.Event()
        self._transport = HttpTransport(config.url, timeout=TIMEOUT)
        self._is_away = False

    def add(self, spans: Sequence[Span]) -> None:
        """The oldest go when there are too many."""
        self._waiting.extend(self._to.items(spans))
        if len(self._waiting) >= self._config.batch:
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
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._config.batch))]
            await self._post(batch)

    async def close(self) -> None:
        await self.send()
        await self._transport.close()

    async def _post(self, batch: list[Any]) -> None:
        try:
            response = await self._transport(self._to.request(batch))
            if self._to.hear(response):
                response = await self._transport(self._to.request(batch))
            why = "" if response.ok else f"failed the request with status code {response.status}"
        except TransportError as error:
            why = f"failed to send the request: {error}"
        if why and not self._is_away:  # told once
            self._host.log(f"[WARNING] plugin/trace: {why}")
        self._is_away = bool(why)
