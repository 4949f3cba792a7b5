"""TCP connections and UDP flows carried from one socket to another, in this process: what the kernel does elsewhere.

A forwarder listens at one address and asks for an endpoint per connection or flow. A TCP client without one is reset,
as are both sides when either breaks; half-closed connections stay half-closed. Closing a forwarder ends no connection.
A UDP flow ends when it is idle, and when its endpoint stops serving.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from seamark.linux.listener import open_datagrams, open_listener, open_outgoing

logger = logging.getLogger(__name__)

Place = tuple[str, int]
Pick = Callable[[str, str], Place | None]
"""``(client, destination)`` -> endpoint."""

DIAL_SECONDS = 10.0
UDP_IDLE_SECONDS = 120.0
MANY_FLOWS = 16384
BREATH = 0.1
"""Seconds to wait where no more connections can be taken (out of descriptors)."""


class TcpForwarder:
    """Raises OSError from the start where it cannot listen."""

    def __init__(self, namespace: Path | None, host: str, port: int, pick: Pick, *, routed: bool = False) -> None:
        self._namespace = namespace
        self._pick = pick
        self._listener = open_listener(namespace, host, port, routed=routed)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept(), name=f"forwarder {host}:{port}")

    def close(self) -> None:
        """Listens no more; connections go on."""
        self._accepting.cancel()
        self._listener.close()

    def retarget(self) -> None:
        """Established connections are never touched."""

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(self._listener)
            except OSError as error:
                logger.warning("no connection taken: %s", error)
                await asyncio.sleep(BREATH)
                continue
            task = asyncio.create_task(self._carry(client, peer[0]))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _carry(self, client: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        place = self._pick(_plain(peer), _plain(client.getsockname()[0]))
        if place is None:
            _reset(client)
            return
        server = open_outgoing(self._namespace, place[0], socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await loop.sock_connect(server, place)
        except (OSError, TimeoutError):
            server.close()
            _reset(client)
            return
        near, far = _Pipe(), _Pipe()
        near.other, far.other = far, near
        await loop.create_connection(lambda: far, sock=server)
        await loop.connect_accepted_socket(lambda: near, client)


class _Pipe(asyncio.Protocol):
    """One side of a connection: what it reads is written to the other."""

    other: _Pipe

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._early = b""  # came before this side was there
        self._ended = self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        if self.other._lost:
            made.abort()
            return
        if self._early:
            made.write(self._early)
            self._early = b""
        if self.other._ended:
            made.write_eof()

    def data_received(self, data: bytes) -> None:
        if self.other._transport is None:
            self.other._early += data
        else:
            self.other._transport.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        other = self.other._transport
        if other is not None and not other.is_closing():
            other.write_eof()
        return not self.other._ended  # the other way may still be in use

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        other = self.other._transport
        if other is None or other.is_closing():
            return
        if error is None:
            other.close()
        else:
            other.abort()

    def pause_writing(self) -> None:
        other = self.other._transport
        if other is not None and not other.is_closing():
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self.other._transport
        if other is not None and not other.is_closing():
            other.resume_reading()


class UdpForwarder:
    """``serving`` tells whether an endpoint may keep the flows it has."""

    def __init__(
        self,
        namespace: Path | None,
        at: Place,
        pick: Pick,
        serving: Callable[[Place], bool],
        *,
        routed: bool = False,
    ) -> None:
        self._namespace = namespace
        self._destination = at[0]
        self._pick = pick
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._socket = open_datagrams(namespace, *at, routed=routed)
        self._flows: dict[tuple[str, int], _Flow] = {}
        self._loop.add_reader(self._socket, self._receive)
        self._idle = self._loop.call_later(UDP_IDLE_SECONDS, self._expire)

    def close(self) -> None:
        self._idle.cancel()
        self._loop.remove_reader(self._socket)
        for flow in self._flows.values():
            flow.close(self._loop)
        self._flows.clear()
        self._socket.close()

    def retarget(self) -> None:
        """Flows to endpoints that serve no more are chosen anew with their next packet."""
        for client, flow in tuple(self._flows.items()):
            if not self._serving(flow.place):
                self._flows.pop(client).close(self._loop)

    def _receive(self) -> None:
        try:
            data, peer = self._socket.recvfrom(65536)
        except OSError:  # nothing there after all, or the answer of a client that has gone
            return
        client = (peer[0], peer[1])
        flow = self._flows.get(client) or self._begin(client, peer)
        if flow is not None:
            flow.used = self._loop.time()
            flow.send(data)

    def _begin(self, client: tuple[str, int], peer: tuple[str, int]) -> _Flow | None:
        place = self._pick(_plain(client[0]), self._destination)
        if place is None or len(self._flows) >= MANY_FLOWS:
            return None
        try:
            upstream = open_outgoing(self._namespace, place[0], socket.SOCK_DGRAM)
            upstream.connect(place)
        except OSError as error:
            logger.debug("no flow to %s: %s", place, error)
            return None
        flow = self._flows[client] = _Flow(upstream, place, self._loop.time())
        self._loop.add_reader(upstream, self._answer, flow, peer)
        return flow

    def _answer(self, flow: _Flow, peer: tuple[str, int]) -> None:
        try:
            data = flow.upstream.recv(65536)
        except OSError:  # the endpoint refused; the client is told by silence
            return
        flow.used = self._loop.time()
        try:
            self._socket.sendto(data, peer)
        except OSError as error:
            logger.debug("answer lost: %s", error)

    def _expire(self) -> None:
        oldest = self._loop.time() - UDP_IDLE_SECONDS
        for client, flow in tuple(self._flows.items()):
            if flow.used < oldest:
                self._flows.pop(client).close(self._loop)
        self._idle = self._loop.call_later(UDP_IDLE_SECONDS, self._expire)


class _Flow:
    def __init__(self, upstream: socket.socket, place: Place, used: float) -> None:
        self.upstream = upstream
        self.place = place
        self.used = used

    def send(self, data: bytes) -> None:
        try:
            self.upstream.send(data)
        except OSError:  # refused before, or a full buffer: datagrams may be lost
            return

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.upstream)
        self.upstream.close()


def _plain(address: str) -> str:
    return address.partition("%")[0]


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
