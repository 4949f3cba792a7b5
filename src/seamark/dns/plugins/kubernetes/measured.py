"""Requests to the API server, counted and timed by the names that CoreDNS has for them."""

from __future__ import annotations

from urllib.parse import urlsplit

from seamark.client.base import Transport
from seamark.dns.host import Host
from seamark.dns.plugins.kubernetes.config import Limits
from seamark.dns.plugins.kubernetes.limits import LimitedTransport
from seamark.machinery.wire import Request, Response

FAILED = "<error>"
"""client-go's code of a request without an answer."""


class MeasuredTransport:
    """``server`` is the URL of the API server."""

    def __init__(self, transport: Transport, server: str, host: Host) -> None:
        self._transport = transport
        self._server = urlsplit(server).netloc
        self._clock = host.clock
        self._metrics = host.metrics

    async def __call__(self, request: Request) -> Response:
        began, code = self._clock.monotonic(), FAILED
        try:
            response = await self._transport(request)
            code = str(response.status)
            return response
        finally:
            self._metrics.rest_requests.labels(code, request.method, self._server).inc()
            seconds = self._clock.monotonic() - began
            self._metrics.rest_duration.labels(request.method, self._server).observe(seconds)

    async def close(self) -> None:
        await self._transport.close()

    def limited(self, limits: Limits) -> LimitedTransport:
        """In its turn; what it waits is measured too."""
        return LimitedTransport(
            self,
            limits,
            self._clock,
            lambda verb, seconds: self._metrics.rest_waited.labels(verb, self._server).observe(seconds),
        )
