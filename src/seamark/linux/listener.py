"""A listening TCP socket in a namespace of one's choice."""

from __future__ import annotations

import socket
from pathlib import Path

from seamark.linux import netns

BACKLOG = 128


def open_listener(namespace: Path | None, host: str, port: int) -> socket.socket:
    """Bound and listening, non-blocking; ``host`` is an address, ``namespace`` None = this process's own. Raises
    OSError that names the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if namespace is None:
        opened = socket.socket(family, socket.SOCK_STREAM)
    else:
        opened = netns.open_socket(namespace, family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"cannot listen on {shown}:{port}: {error.strerror}") from error
    return opened
