"""WebSocket (RFC 6455) on a connection whose HTTP part is over: whole binary messages in and out.

Framing is wsproto's; the handshake is a header and a hash. Extensions are refused. A text message is taken for its
bytes, as Kubernetes does (Python's client types so). The base64 subprotocols speak text alone: the channel as a digit,
the data behind it in base64; that is turned into binary messages and back.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from seamark.api.websocket import Upgrade
from seamark.machinery.wire import Request

_QUEUE = 64  # messages read ahead of the consumer; then the transport stops reading
_HELD = 1 << 20  # bytes, likewise
_MESSAGE_MAX = 4 << 20


def render_handshake(request: Request, subprotocol: str) -> bytes:
    accept = generate_accept_token(request.headers.get("sec-websocket-key", "").encode()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-accept: {accept}",
    ]
    if subprotocol:
        lines.append(f"sec-websocket-protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class WebSocket:
    """The server's end, fed by the protocol with what arrives."""

    def __init__(
        self, write: Callable[[bytes], Awaitable[None]], transport: asyncio.Transport, upgrade: Upgrade
    ) -> None:
        self._in_base64 = upgrade.in_base64
        self._is_text = upgrade.is_text
        self._write = write
        self._transport = transport
        self._connection = Connection(ConnectionType.SERVER)
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._parts: list[bytes] = []
        self._size = 0
        self._held = 0
        self._over = False

    def feed(self, data: bytes) -> None:
        if not data or self._over:
            return
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, BytesMessage):
                    self._take(bytes(event.data), whole=event.message_finished)
                elif isinstance(event, Ping):
                    self._transport.write(self._connection.send(event.response()))
                elif isinstance(event, CloseConnection):
                    if self._connection.state is not ConnectionState.CLOSED:
                        self._transport.write(self._connection.send(event.response()))
                    self.lost()
                elif isinstance(event, TextMessage):
                    self._take(event.data.encode(), whole=event.message_finished)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._fail(1002, str(error))
        if self._messages.qsize() >= _QUEUE or self._held >= _HELD:
            self._transport.pause_reading()

    def _take(self, data: bytes, *, whole: bool) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MESSAGE_MAX:
            self._fail(1009, "message too large")
        elif whole:
            message = b"".join(self._parts)
            self._parts, self._size = [], 0
            try:
                message = parse_base64(message) if self._in_base64 else message
            except ValueError:
                self._fail(1007, "not a digit and base64")
            else:
                self._messages.put_nowait(message)
                self._held += len(message)

    def _fail(self, code: int, reason: str) -> None:
        if self._connection.state is ConnectionState.OPEN:
            self._transport.write(self._connection.send(CloseConnection(code=code, reason=reason[:120])))
        self.lost()

    def lost(self) -> None:
        """The peer is gone: the reader gets what had arrived, then the end."""
        if not self._over:
            self._over = True
            self._messages.put_nowait(None)

    async def receive(self) -> bytes | None:
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)  # the end stays the end
            return None
        self._held -= len(message)
        room = self._messages.qsize() < _QUEUE // 2 and self._held < _HELD // 2
        if room and not self._transport.is_closing():
            self._transport.resume_reading()
        return message

    async def send(self, message: bytes) -> None:
        if self._connection.state is not ConnectionState.OPEN:
            raise ConnectionResetError("the WebSocket is closed")
        event: TextMessage | BytesMessage = BytesMessage(message)
        if self._in_base64 or self._is_text:
            event = TextMessage(render_base64(message) if self._in_base64 else message.decode())
        await self._write(self._connection.send(event))

    async def close(self) -> None:
        if self._connection.state is ConnectionState.OPEN:
            await self._write(self._connection.send(CloseConnection(code=1000)))


def parse_base64(message: bytes) -> bytes:
    """``0aGk=`` is ``hi`` on channel 0. Raises ValueError."""
    if not message[:1].isdigit():
        raise ValueError("no channel")
    return bytes([message[0] - ord("0")]) + b64decode(message[1:], validate=True)


def render_base64(message: bytes) -> str:
    return chr(message[0] + ord("0")) + b64encode(message[1:]).decode()
