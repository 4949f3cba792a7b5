"""What the client asks of the API server at most: a bucket of requests, and a bound on those awaited.

A watch counts as a request when it is opened and not while it lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seamark.client.base import Transport
from seamark.dns.plugins.kubernetes.config import Limits
from seamark.machinery.clock import Clock
from seamark.machinery.wire import Request, Response

DEFAULT_BURST = 10  # client-go's


class LimitedTransport:
    def __init__(
        self, transport: Transport, limits: Limits, clock: Clock, waited: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        """``waited`` is told how long each request had to wait, by its method."""
        self._transport = transport
        self._waited = waited
        self._clock = clock
        self._qps = limits.qps
        self._burst = float(limits.burst or DEFAULT_BURST)
        self._tokens = self._burst
        self._filled = clock.monotonic()
        self._turn = asyncio.Lock()
        self._inflight = asyncio.Semaphore(limits.max_inflight) if limits.max_inflight else None

    async def __call__(self, request: Request) -> Response:
        if self._qps:
            began = self._clock.monotonic()
            async with self._turn:
                await self._take()
            self._waited(request.method, self._clock.monotonic() - began)
        if self._inflight is None:
            return await self._transport(request)
        async with self._inflight:
            return await self._transport(request)

    async def close(self) -> None:
        await self._transport.close()

    async def _take(self) -> None:
        """One token, waiting for it if none is left."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._qps)
        self._filled = now
        if self._tokens < 1:
            await self._clock.sleep((1 - self._tokens) / self._qps)
            self._filled = self._clock.monotonic()
            self._tokens = 1.0
        self._tokens -= 1
