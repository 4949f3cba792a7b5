"""The transport without a socket: calls the API application in the same process.

What goes through is exactly what HTTP would carry (a Request with bytes, a Response with bytes or a stream), so a
part that works here works against a server elsewhere. Who asks is the request's ``identity``, set by the client.
"""

from __future__ import annotations

from seamark.client.base import TransportError
from seamark.machinery.wire import Handler, Request, Response


class InProcessTransport:
    """A Transport around a Handler. After ``close`` every call fails as a broken connection would."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._closed = False

    async def __call__(self, request: Request) -> Response:
        if self._closed:
            raise TransportError(f"{request.method} {request.path}: the API server in this process is shut down")
        return await self._handler(request)

    async def close(self) -> None:
        self._closed = True
