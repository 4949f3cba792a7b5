"""The small HTTP ports of a proxy: one answer, close. Health, metrics and health check node ports stand on it.

As with kube-proxy any method is answered as GET is, and the bytes are those that Go writes.

It refuses what these never need: bodies, keep-alive, more than 16 kB of head, clients that are slow to ask.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from seamark.machinery.clock import Clock

MAX_HEAD = 16384
PATIENCE = 10.0
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[str, str], Answer | None]
"""``(path, address)`` -> what to say; the address is ours that the client came to. None = hang up without a word."""

NOT_FOUND = Answer(404, b"404 page not found\n")


def json_answer(value: Any, status: int = 200, *, indent: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    between = (",", ":") if indent is None else None
    return Answer(status, json.dumps(value, indent=indent, separators=between).encode(), "application/json", named)


class WebServer:
    """One listening socket and the handler behind it."""

    def __init__(self, listener: socket.socket, handler: Handler, clock: Clock) -> None:
        self._listener = listener
        self._handler = handler
        self._clock = clock
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._listener, limit=MAX_HEAD)

    def close(self) -> None:
        (self._server or self._listener).close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._respond(reader, writer)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            pass  # a client that does not speak HTTP, or is gone
        finally:
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        answer = self._handler(target.partition("?")[0], writer.get_extra_info("sockname")[0])
        if answer is None:
            return
        headers = {"Content-Type": answer.type, "X-Content-Type-Options": "nosniff", **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        lines += [f"Date: {now:%a, %d %b %Y %H:%M:%S GMT}", f"Content-Length: {len(answer.body)}", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if method != "HEAD":
            writer.write(answer.body)
        await writer.drain()
