"""Garbage on the wire: the server answers a Status or closes, and goes on serving."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seamark.api.http1 import HttpProtocol, Limits
from seamark.api.websocket import Upgrade
from seamark.machinery.wire import Request, Response

LIMITS = Limits(body=1000, head=2000)
PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a%2f?x=%ff&y HTTP/1.1\r\n",
        b"HEAD http://h/p HTTP/1.0\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 99999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"abc",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"\x00\xff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
)


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def echo(request: Request, certificate: bytes | None) -> Response | Upgrade:
    body = json.dumps([request.method, request.path, len(request.body)]).encode()
    return Response(200, body, {"content-type": "application/json"})


async def drive(chunks: list[bytes]) -> Pipe:
    pipe = Pipe()
    connections: set[HttpProtocol] = set()
    protocol = HttpProtocol(echo, LIMITS, connections)
    protocol.connection_made(pipe)
    for chunk in chunks:
        protocol.data_received(chunk)
        for _ in range(4):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    assert connections == set()
    return pipe


@settings(max_examples=300, deadline=None)
@given(chunks=st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=8))
@example(chunks=[b"GET  HTTP/1.1\r\n\r\n"])
@example(chunks=[b"GET http://[::1 HTTP/1.1\r\n\r\n"])
@example(chunks=[b"CONNECT h:1 HTTP/1.1\r\n\r\n"])
async def test_every_answer_is_http_and_no_error_is_logged(chunks: list[bytes]) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("seamark.api").addHandler(handler)
    try:
        pipe = await drive(chunks)
    finally:
        logging.getLogger("seamark.api").removeHandler(handler)
    assert records == []
    assert pipe.written == b"" or pipe.written.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("cut", [lambda data: [data], lambda data: [bytes([b]) for b in data]], ids=["whole", "bytes"])
async def test_cuts_make_no_difference(cut: Callable[[bytes], list[bytes]]) -> None:
    data = b"POST /a?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /d HTTP/1.1\r\n\r\n"
    pipe = await drive([*cut(data), b"", b""])
    assert pipe.written.count(b"HTTP/1.1 200 OK") == 2
    assert b'["POST", "/a", 3]' in pipe.written and b'["GET", "/d", 0]' in pipe.written
