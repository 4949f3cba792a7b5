"""The small HTTP ports of health, ready and prometheus: GET, one answer, close.

One port may serve several paths; a reload keeps the ports that stay and swaps what they serve. A client has ten seconds
to ask; how long an answer takes is its handler's (``Asked``) to bound.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl

from seamark.dns.corefile.address import split_address
from seamark.dns.host import Asked, HttpAnswer, HttpHandler
from seamark.dns.server.udp import open_tcp

MAX_HEAD = 16384
PATIENCE = 10.0
TEXT = "text/plain; charset=utf-8"

Handlers = Mapping[tuple[str, str], HttpHandler]
Secured = Mapping[str, ssl.SSLContext]
"""Addresses that are served by HTTPS; a reload changes certificates for new connections."""


class HttpPorts:
    def __init__(self) -> None:
        self._servers: dict[str, asyncio.Server] = {}
        self._handlers: Handlers = {}
        self._secured: Secured = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(self._servers)

    async def serve(self, handlers: Handlers, secured: Secured = MappingProxyType({})) -> None:
        """Opens what is new, then swaps, then closes what is gone. Raises OSError and changes nothing on failure."""
        wanted = {address for address, _ in handlers}
        opened: dict[str, asyncio.Server] = {}
        try:
            for address in wanted - self._servers.keys():
                opened[address] = await self._open(address)
        except BaseException:
            for server in opened.values():
                server.close()
            raise
        self._servers |= opened
        self._handlers, self._secured = handlers, secured
        for address in set(self._servers) - wanted:
            self._servers.pop(address).close()

    async def close(self, path: str = "") -> None:
        """Everything, or only the ports of one path."""
        chosen = [a for a in self._servers if not path or (a, path) in self._handlers]
        for address in chosen:
            self._servers.pop(address).close()

    async def _open(self, address: str) -> asyncio.Server:
        host, port = split_address(address)
        try:
            found = open_tcp("127.0.0.1" if host == "localhost" else host, port or 0)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if (tls := self._secured.get(address)) is not None:
                    async with asyncio.timeout(PATIENCE):
                        await writer.start_tls(tls)
                await self._respond(address, reader, writer)
            except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
                pass  # a client that does not speak HTTP or is gone
            finally:
                writer.close()

        return await asyncio.start_server(accept, sock=found, limit=MAX_HEAD)

    async def _respond(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        path, _, asked = target.partition("?")
        status, kind, body = await self._answer(address, method, path, asked)
        lines = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
        writer.write(f"{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        if method != "HEAD":
            writer.write(body)
        async with asyncio.timeout(PATIENCE):
            await writer.drain()

    async def _answer(self, address: str, method: str, path: str, asked: str) -> HttpAnswer:
        handler = self._handlers.get((address, path))
        if handler is None:
            return 404, TEXT, b"404 page not found\n"
        if method not in ("GET", "HEAD"):
            return 405, TEXT, b"method not allowed\n"
        return await handler.answer(dict(parse_qsl(asked))) if isinstance(handler, Asked) else handler()
