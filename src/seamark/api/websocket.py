"""What a request that would become a WebSocket asks for, and the answer that makes it one.

The frames are ``websocketframes``', which is loaded when the first one is opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from seamark.machinery.wire import Request


class Duplex(Protocol):
    """A connection of whole messages."""

    async def receive(self) -> bytes | None:
        """The next message; None once the peer has closed or is gone."""
        ...

    async def send(self, message: bytes) -> None:
        """Raises ConnectionError when the peer is gone."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The answer to a request that becomes a WebSocket: what runs on it, under which subprotocol."""

    subprotocol: str
    run: Callable[[Duplex], Awaitable[None]]
    is_text: bool = False  # what we send goes out as text messages

    @property
    def in_base64(self) -> bool:
        return "base64." in self.subprotocol


def wants_websocket(request: Request) -> bool:
    headers = request.headers
    return "websocket" in headers.get("upgrade", "").lower() and "upgrade" in headers.get("connection", "").lower()


def wants_spdy(request: Request) -> bool:
    headers = request.headers
    return "spdy/3.1" in headers.get("upgrade", "").lower() and "upgrade" in headers.get("connection", "").lower()


def wants_upgrade(request: Request) -> bool:
    """Whether the client would go on with some other protocol."""
    headers = request.headers
    return bool(headers.get("upgrade")) and "upgrade" in headers.get("connection", "").lower()


def offered_subprotocols(request: Request) -> tuple[str, ...]:
    offered = request.headers.get("sec-websocket-protocol", "")
    return tuple(p.strip() for p in offered.split(",") if p.strip())
