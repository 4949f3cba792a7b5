"""Connections out of the node's network namespace: what HTTP and TCP probes, and httpGet hooks, go through.

Certificates are not verified, as a kubelet's probes never do: the question is whether the server answers.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from seamark.linux import netns

CHUNK = 64 << 10
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connect(Protocol):
    async def __call__(self, host: str, port: int, *, tls: bool) -> Streams:
        """Raises OSError."""
        ...


class NodeConnector:
    """``pin`` is the node's network namespace; None = this process's own."""

    def __init__(self, pin: Path | None) -> None:
        self._pin = pin

    async def __call__(self, host: str, port: int, *, tls: bool) -> Streams:
        loop = asyncio.get_running_loop()
        family, kind, proto, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        sock = netns.open_socket(self._pin, family, kind, proto) if self._pin else socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            context = _unverified() if tls else None
            return await asyncio.open_connection(sock=sock, ssl=context, server_hostname="" if tls else None)
        except BaseException:
            sock.close()
            raise


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class SocketStream:
    """A ``machinery.streams.ByteStream`` over a connection of this process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(CHUNK)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        if self._writer.can_write_eof():  # TLS cannot: its peer then learns of the end by the close
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(connect: Connect, host: str, port: int, *, tls: bool = False) -> AsyncIterator[Streams]:
    reader, writer = await connect(host, port, tls=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
