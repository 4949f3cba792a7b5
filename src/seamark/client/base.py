"""The transport seam of the client: a Handler by another name, with an end.

``client/inprocess.py`` wraps the API application, ``client/http.py`` speaks HTTP/1.1 to any API server.
"""

from __future__ import annotations

from typing import Protocol

from seamark.machinery.wire import Request, Response


class TransportError(Exception):
    """The server could not be reached or the connection broke; worth a retry. Says address and reason."""


class Transport(Protocol):
    async def __call__(self, request: Request) -> Response:
        """Raises TransportError. A Response with a stream must be iterated to its end or closed."""
        ...

    async def close(self) -> None: ...
