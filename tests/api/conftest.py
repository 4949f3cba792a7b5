"""The API on a loopback socket, and a client that writes the bytes itself."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import uvloop

from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.http1 import Limits
from seamark.api.server import ApiServer, serve_api

SOCKET_TESTS = ("test_http_client.py", "test_proxy.py", "test_server.py", "test_spdy.py", "test_streams.py")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What touches sockets must hold on both loops; the rest needs one."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in SOCKET_TESTS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class RawConnection:
    """HTTP by hand: what is sent is exactly what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Answer:
        async with asyncio.timeout(5):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode().split("\r\n")
        pairs = [line.partition(": ") for line in lines if line]
        return Answer(int(first.split()[1]), {k.lower(): v for k, _, v in pairs})

    async def answer(self) -> Answer:
        found = await self.head()
        async with asyncio.timeout(5):
            if found.headers.get("transfer-encoding") == "chunked":
                while chunk := await self.chunk():
                    found.body += chunk
            else:
                found.body = await self.reader.readexactly(int(found.headers.get("content-length", "0")))
        return found

    async def chunk(self) -> bytes:
        async with asyncio.timeout(5):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        return data

    async def ask(self, method: str, path: str, *, body: bytes = b"", headers: str = "") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        await self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + body)
        return await self.answer()

    async def ended(self) -> bool:
        """Whether the server closes (after what it may still send)."""
        async with asyncio.timeout(5):
            await self.reader.read()
        return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass


Serve = Callable[..., Awaitable[tuple[ApiServer, Callable[..., Awaitable[RawConnection]]]]]


@pytest.fixture
async def serve(api: Api) -> AsyncIterator[Serve]:
    """``server, connect = await serve(limits=…, tls=…)``; everything is closed at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            *, limits: Limits | None = None, tls: ssl.SSLContext | None = None
        ) -> tuple[ApiServer, Callable[..., Awaitable[RawConnection]]]:
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            server = await serve_api(
                api, sockets=[listener], tls=tls, authenticate=Authenticator(api.core), limits=limits
            )
            stack.push_async_callback(server.close)

            async def connect(client_tls: ssl.SSLContext | None = None) -> RawConnection:
                reader, writer = await asyncio.open_connection(
                    *listener.getsockname(), ssl=client_tls, server_hostname="127.0.0.1" if client_tls else None
                )
                connection = RawConnection(reader, writer)
                stack.push_async_callback(connection.close)
                return connection

            return server, connect

        yield start
