"""Ports of loopback for a test's servers."""

from __future__ import annotations

import socket

TRIES = 50


def free_port() -> int:
    """Free for TCP and UDP at this moment. Raises OSError if there is none."""
    for _ in range(TRIES):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port free for both protocols in {TRIES} tries")
