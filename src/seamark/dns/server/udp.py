"""UDP: read what has come, answer each, from the address it was sent to.

A socket on every address has to tell the kernel which of them to answer from, else a client that asked one address of
a node gets its answer from another and drops it: hence recvmsg and sendmsg with the packet's destination.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from seamark.dns.listener import Listener, Source
from seamark.dns.server.proxied import Proxied

MAX_PACKET = 65535
BATCH = 32
ANCILLARY = socket.CMSG_SPACE(64)
IP_PKTINFO = 8  # include/uapi/linux/in.h; Python names it from 3.12 on
BUFFER = 4 * 1024 * 1024

Answering = Callable[[Listener, bytes, Source, str], Coroutine[Any, Any, bytes | list[bytes] | None]]
Quick = Callable[[Listener, bytes, str], bytes | None]
Control = list[tuple[int, int, bytes]]


def open_udp(host: str, port: int, *, shared: bool = False, packet_info: bool = True) -> socket.socket:
    """Bound and not yet read. An empty host is every address of both families; others may be ``shared`` with further
    sockets that are. Raises OSError.
    """
    found = _bind(socket.SOCK_DGRAM, host, port, shared=shared)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    if not packet_info:
        return found
    if found.family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        found.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return found


def open_tcp(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Listening. Raises OSError."""
    found = _bind(socket.SOCK_STREAM, host, port, shared=shared)
    found.listen(1024)
    return found


def _bind(kind: socket.SocketKind, host: str, port: int, *, shared: bool) -> socket.socket:
    """Dual stack where the machine has IPv6."""
    family = socket.AF_INET if host and ":" not in host else socket.AF_INET6
    try:
        found = socket.socket(family, kind)
    except OSError:
        if host:
            raise
        family, found = socket.AF_INET, socket.socket(socket.AF_INET, kind)
    try:
        found.setblocking(False)
        if kind is socket.SOCK_STREAM:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if host else 0)
        found.bind((host, port))
        return found
    except BaseException:
        found.close()
        raise


class UdpListener:
    """Answers on one socket until closed; ``drain`` waits for the answers under way."""

    def __init__(
        self,
        found: socket.socket,
        at: Listener,
        answer: Answering,
        quick: Quick | None = None,
        proxied: Callable[[], Proxied | None] = lambda: None,
    ) -> None:
        """``quick`` answers without waiting, or says None."""
        self._quick = quick
        self._proxied = proxied
        self._socket = found
        self._at = at
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(found.fileno(), self._readable)

    def refuse(self) -> None:
        """No more is read."""
        self._loop.remove_reader(self._socket.fileno())

    async def drain(self) -> None:
        """Ends with the answers under way."""
        self.refuse()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                packet, control, _, client = self._socket.recvmsg(MAX_PACKET, ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier answer
                continue
            source = None
            if (proxied := self._proxied()) is not None:
                unwrapped = proxied.unwrap(packet, self._source(client, control))
                if unwrapped is None:
                    continue
                packet, source = unwrapped
            asking = client[0] if source is None else source.host
            known = self._quick(self._at, packet, asking) if self._quick is not None else None
            if known is not None:
                self._send(known, control, client)
                continue
            work = self._respond(packet, control, client, source or self._source(client, control))
            task = self._loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _source(self, client: tuple[Any, ...], control: Control) -> Source:
        return Source(client[0], client[1], _destination(control) or self._at.host, self._at.port)

    async def _respond(self, packet: bytes, control: Control, client: tuple[Any, ...], source: Source) -> None:
        """``client`` gets the answer; ``source`` is who asks."""
        found = await self._answer(self._at, packet, source, "udp")
        if isinstance(found, bytes):  # transfers are TCP's
            self._send(found, control, client)

    def _send(self, wire: bytes, control: Control, client: tuple[Any, ...]) -> None:
        try:
            self._socket.sendmsg([wire], _from(control), 0, client)
        except OSError:  # a full buffer or a client that is gone: as if the network had lost it
            pass


def _destination(control: Control) -> str:
    """The own address that a packet was sent to."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return socket.inet_ntop(socket.AF_INET6, data[:16])
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            return socket.inet_ntop(socket.AF_INET, data[8:12])
    return ""


def _from(control: Control) -> Control:
    """The destination of a packet as the source of its answer; the route decides the interface."""
    found: Control = []
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            scoped = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            found.append((level, kind, data if scoped else data[:16] + struct.pack("@i", 0)))
        elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            found.append((level, kind, struct.pack("@i", 0) + data[8:12] + data[8:12]))
    return found
