"""Namespaces are made, entered and removed without touching the machine's own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from seamark.linux import netns

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def test_socket_opened_in_a_namespace_stays_there(tmp_path: Path) -> None:
    pin = tmp_path / "a"
    netns.create(pin)
    try:
        with netns.open_socket(pin, socket.AF_INET, socket.SOCK_STREAM) as inside:
            inside.bind(("127.0.0.1", 0))
            inside.listen()
            with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
                outside.connect(inside.getsockname())
    finally:
        netns.remove(pin)
    assert not pin.exists()


def test_creating_twice_is_refused_and_leaves_the_first(tmp_path: Path) -> None:
    pin = tmp_path / "a"
    netns.create(pin)
    try:
        with pytest.raises(FileExistsError):
            netns.create(pin)
        assert netns.exists(pin)
    finally:
        netns.remove(pin)


def test_a_bare_file_is_no_namespace(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert not netns.exists(tmp_path / "a")
    netns.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
