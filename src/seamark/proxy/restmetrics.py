"""``rest_client_*``: how requests to the API server fare, by client-go's names, as a Transport around a Transport."""

from __future__ import annotations

from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram

from seamark.client.base import Transport
from seamark.machinery.clock import Clock
from seamark.machinery.wire import Request, Response

DURATION = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
UNANSWERED = "<error>"


class CountedTransport:
    """``url`` of the API server; the time of a watch is that until it is answered."""

    def __init__(self, inner: Transport, url: str, clock: Clock) -> None:
        self._inner = inner
        self._host = urlsplit(url).netloc
        self._clock = clock
        self._requests = Counter(
            "rest_client_requests", "Requests to the API server.", ["code", "host", "method"], registry=None
        )
        self._seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Time until the API server answers.",
            ["host", "verb"],
            buckets=DURATION,
            registry=None,
        )

    async def __call__(self, request: Request) -> Response:
        begun, code = self._clock.monotonic(), UNANSWERED
        try:
            response = await self._inner(request)
            code = str(response.status)
            return response
        finally:
            self._requests.labels(code, self._host, request.method).inc()
            self._seconds.labels(self._host, request.method).observe(self._clock.monotonic() - begun)

    async def close(self) -> None:
        await self._inner.close()

    def register(self, registry: CollectorRegistry) -> None:
        registry.register(self._requests)
        registry.register(self._seconds)
