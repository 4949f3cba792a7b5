"""Whether something listens beside a process, as the kernel tells it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from seamark.linux import netns
from seamark.linux.sockets import is_listening


def test_nobody_can_tell_of_a_process_that_is_not_there() -> None:
    assert is_listening(0) is None


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_listener_is_seen_a_bound_socket_is_not(tmp_path: Path, family: socket.AddressFamily) -> None:
    pin = tmp_path / "pod"
    netns.create(pin)
    try:

        def look() -> list[bool | None]:
            with socket.socket(family) as server:
                server.bind(("::" if family == socket.AF_INET6 else "", 8080))
                before = is_listening_here()
                server.listen()
                return [before, is_listening_here()]

        def is_listening_here() -> bool | None:
            return is_listening(int(os.readlink("/proc/thread-self").rpartition("/")[2]))

        assert netns.run_in(pin, look) == [False, True]
    finally:
        netns.remove(pin)
