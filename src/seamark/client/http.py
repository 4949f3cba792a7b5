"""The transport over HTTP/1.1: any Kubernetes API server, with TLS, keep-alive and chunked watch streams.

What it does not do: HTTP/2 (one watch per connection costs little and needs no flow control of ours), redirects and
proxies (an API server needs neither), compression (the reader is on the same network).

A token file is read for every request: kubelet replaces it while the process runs (bound service account tokens).
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from seamark.client.base import TransportError
from seamark.client.connection import Connection, LostError
from seamark.machinery.wire import Request, Response

MAX_EXCHANGES = 64  # answers awaited at once; watches do not count
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
_WARNING = re.compile(r'^\d{3} \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the client says who it is; all empty = anonymous. Certificate and key are PEM. What ``token_file`` holds goes
    before ``token``, as in client-go.
    """

    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    token_file: Path | None = None

    def authorization(self) -> str:
        """Raises TransportError for an unreadable token file where there is no token either."""
        if self.token_file is not None:
            try:
                return f"Bearer {self.token_file.read_text().strip()}"
            except OSError as error:
                if not self.token:
                    raise TransportError(f"token file {self.token_file}: {error.strerror}") from error
        return f"Bearer {self.token}" if self.token else ""


ANONYMOUS = Credentials()


class HttpTransport:
    """``base_url`` is ``https://host:port[/prefix]`` or ``http://…``; ``ca`` PEM, empty = the system's authorities.

    ``timeout`` bounds connecting and waiting for an answer, in seconds; a stream may last as long as it likes.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ca: bytes = b"",
        credentials: Credentials = ANONYMOUS,
        insecure: bool = False,
        server_name: str = "",
        timeout: float = 30.0,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url: {base_url!r}: must be http://host[:port] or https://host[:port]")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")
        self._peer = f"{parts.scheme}://{parts.netloc}"
        self._authority = parts.netloc
        self._credentials = credentials
        self._timeout = timeout
        self._tls = tls_context(ca, credentials, insecure=insecure) if parts.scheme == "https" else None
        self._server_name = (server_name or self._host) if self._tls else None
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._exchanges = asyncio.Semaphore(MAX_EXCHANGES)
        self._closed = False

    async def __call__(self, request: Request) -> Response:
        data = self._render(request)
        streamed = request.flag("watch") or request.flag("follow")
        async with self._exchanges:
            while True:
                reused = bool(self._idle)
                connection = self._idle.pop() if reused else await self._connect()
                try:
                    return await self._exchange(connection, data, streamed=streamed)
                except LostError as error:
                    # the server closed an idle connection just as we took it: nothing was asked, so ask again
                    if not reused or error.answered or request.method != "GET":
                        raise

    async def close(self) -> None:
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()

    async def _exchange(self, connection: Connection, data: bytes, *, streamed: bool) -> Response:
        self._busy.add(connection)
        body: AsyncIterator[bytes] | None = None
        try:
            async with asyncio.timeout(self._timeout):
                head = await connection.send(data)
                body = connection.body(self._release)
                found = Response(head.status, headers=head.headers, warnings=tuple(map(_warning, head.warnings)))
                if streamed and found.ok:
                    found.stream = body
                else:
                    found.body = b"".join([chunk async for chunk in body])
                return found
        except TimeoutError:
            raise TransportError(f"{self._peer}: no answer within {self._timeout:g} s") from None
        finally:
            if body is None:
                connection.abort()
                self._release(connection)

    async def _connect(self) -> Connection:
        if self._closed:
            raise TransportError(f"{self._peer}: the client is closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                transport, connection = await loop.create_connection(
                    lambda: Connection(self._peer),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_name,
                )
        except TimeoutError:
            raise TransportError(f"{self._peer}: no connection within {self._timeout:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise TransportError(f"{self._peer}: {error}") from error
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            found.setsockopt(socket.IPPROTO_TCP, option, value)
        return connection

    def _release(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.idle and not connection.lost and not self._closed:
            self._idle = [c for c in self._idle if not c.lost]
            self._idle.append(connection)
        else:
            connection.abort()

    def _render(self, request: Request) -> bytes:
        self._idle = [c for c in self._idle if not c.lost]
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {"host": self._authority, **request.headers}
        if authorization := self._credentials.authorization():
            headers["authorization"] = authorization
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(request.body))
        lines = [f"{request.method} {self._prefix}{request.path}{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        text = "\r\n".join(lines)
        if text.count("\r\n") != len(lines) - 1 or "\n" in text.replace("\r\n", ""):
            raise ValueError(f"{request.method} {request.path}: a header or the path holds a line break")
        return text.encode("utf-8") + b"\r\n\r\n" + request.body


def tls_context(ca: bytes, credentials: Credentials, *, insecure: bool) -> ssl.SSLContext:
    """Raises ValueError for certificates that cannot be read."""
    context = ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credentials.certificate:
        with (
            tempfile.NamedTemporaryFile() as pem
        ):  # the ssl module reads keys from files alone; mode 0600, gone at once
            pem.write(credentials.certificate + b"\n" + credentials.key)
            pem.flush()
            try:
                context.load_cert_chain(pem.name)
            except ssl.SSLError as error:
                raise ValueError(f"client certificate and key: {error}") from error
    return context


def _warning(text: str) -> str:
    found = _WARNING.match(text)
    return found.group(1).replace('\\"', '"') if found else text
