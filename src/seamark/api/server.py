"""The API over HTTPS: given listening sockets, TLS and a way to tell who asks, it serves an ``Api``.

The sockets are the caller's choice and may live in several network namespaces. ALPN offers http/1.1 alone: HTTP/2 in
Python costs an order of magnitude more, and every client falls back (docs/adr/0001).
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seamark.api.app import Api
from seamark.api.authn import Credentials
from seamark.api.http1 import HttpProtocol, Limits
from seamark.api.inflight import Inflight
from seamark.api.streaming.channel import RawUpgrade
from seamark.api.websocket import Upgrade, wants_upgrade
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response

Authenticate = Callable[[Credentials], Awaitable[Identity | None]]
"""None = no credentials; raises StatusError 401 for bad ones."""

_HANDSHAKE_TIME = 10.0
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1


class ApiServer:
    """Open until ``close``."""

    def __init__(self, servers: Sequence[asyncio.Server], connections: set[HttpProtocol]) -> None:
        self._servers = tuple(servers)
        self._connections = connections

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        return tuple(s.getsockname()[:2] for server in self._servers for s in server.sockets)

    async def close(self) -> None:
        """Stops accepting, ends the streams, closes every connection."""
        for server in self._servers:
            server.close()
        await asyncio.gather(*(c.shut_down() for c in list(self._connections)))
        await asyncio.gather(*(server.wait_closed() for server in self._servers))


async def serve_api(
    api: Api,
    *,
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    authenticate: Authenticate,
    limits: Limits | None = None,
    inflight: Inflight | None = None,
) -> ApiServer:
    """Serves ``api`` on bound sockets until the returned server is closed."""
    limits = limits or Limits()
    inflight = inflight or Inflight()
    tune_malloc()
    connections: set[HttpProtocol] = set()

    async def serve(request: Request, certificate: bytes | None) -> Response | Upgrade | RawUpgrade:
        return await answer(api, authenticate, request, certificate, inflight=inflight)

    loop = asyncio.get_running_loop()
    for one in sockets:
        _send_at_once(one)
    servers = [
        await loop.create_server(
            lambda: HttpProtocol(serve, limits, connections),
            sock=one,
            ssl=tls,
            ssl_handshake_timeout=_HANDSHAKE_TIME if tls else None,
            backlog=512,
        )
        for one in sockets
    ]
    return ApiServer(servers, connections)


async def answer(
    api: Api, authenticate: Authenticate, request: Request, certificate: bytes | None, *, inflight: Inflight
) -> Response | Upgrade | RawUpgrade:
    try:
        identity = await authenticate(Credentials(certificate, request.headers.get("authorization", "")))
    except StatusError as refused:
        return await api.refuse(request, refused)
    request = replace(request, identity=identity)
    if wants_upgrade(request):
        return await api.connect(request)
    return await inflight.serve(request, api.handle)


def server_tls(*, certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer; a client may show a certificate of ``client_ca``, one of another CA ends the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _send_at_once(listener: socket.socket) -> None:
    """Connections inherit it. Without, a watch event waits for the client's delayed acknowledgement of the one before
    (40 ms): asyncio turns Nagle's algorithm off itself only where a socket was made with IPPROTO_TCP.
    """
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def tune_malloc() -> None:
    """Keeps glibc from mapping uvloop's 256 KiB TLS read buffer anew for each read: a third of the CPU per request."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # not in musl
        mallopt(_M_MMAP_THRESHOLD, 8 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)
