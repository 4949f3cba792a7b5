"""Sockets in a namespace of one's choice: listening, for datagrams, and to go out from. Non-blocking."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from seamark.linux import netns

BACKLOG = 128
IPV6_FREEBIND = 78


def open_listener(
    namespace: Path | None, host: str, port: int, *, routed: bool = False, both: bool = False
) -> socket.socket:
    """Bound and listening; ``host`` is an address, ``namespace`` None = this process's own. ``routed``: the address is
    made local by a route alone, which IPv6 takes for no address to bind to. ``both``: ``::`` is any of IPv4 as well.
    Raises OSError that names the address.
    """
    return _bound(namespace, host, port, socket.SOCK_STREAM, routed=routed, both=both)


def open_datagrams(namespace: Path | None, host: str, port: int, *, routed: bool = False) -> socket.socket:
    """Bound for UDP. Raises OSError that names the address."""
    return _bound(namespace, host, port, socket.SOCK_DGRAM, routed=routed)


def open_outgoing(namespace: Path | None, host: str, kind: int) -> socket.socket:
    """Not connected yet; ``host`` says the family. Made with its protocol named, and so are connections it accepts:
    asyncio turns Nagle's algorithm off for such sockets alone.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    proto = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    make = socket.socket if namespace is None else partial(netns.open_socket, namespace)
    opened = make(family, kind, proto)
    opened.setblocking(False)
    return opened


def _bound(
    namespace: Path | None, host: str, port: int, kind: int, *, routed: bool, both: bool = False
) -> socket.socket:
    opened = open_outgoing(namespace, host, kind)
    try:
        if kind == socket.SOCK_STREAM:  # of two datagram sockets with one address the later would take all
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, int(routed))
        opened.bind((host, port))
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"cannot listen on {shown}:{port}: {error.strerror}") from error
    return opened
