"""Network namespaces: made, entered, pinned to a file so that they outlive this process, and removed.

A namespace is known by the path of its pin (a bind mount of nsfs on an empty file below the data directory), never
by a name in /run/netns: what is ours lies under our own directory and nothing else is touched.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _in_thread(work: Callable[[], T]) -> T:
    """Runs ``work`` in a thread of its own: setns and unshare then change that thread alone."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=body, name="netns", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the machine has no process left
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _set_loopback_up() -> None:
    """SIOCSIFFLAGS IFF_UP|IFF_RUNNING on lo of the current namespace (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


def create(pin: Path) -> None:
    """Makes a namespace with its loopback up and pins it. Raises FileExistsError where one is pinned already."""
    pin.parent.mkdir(parents=True, exist_ok=True)
    pin.touch(exist_ok=False)

    def work() -> None:
        _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        _set_loopback_up()
        _check(_libc.mount(source.encode(), os.fsencode(pin), b"none", MS_BIND, None), f"pin namespace at {pin}")

    try:
        _in_thread(work)
    except BaseException:
        pin.unlink(missing_ok=True)
        raise


def exists(pin: Path) -> bool:
    """Whether a live namespace is pinned there (a bare file is what a reboot leaves)."""
    try:
        return os.stat(pin).st_dev != os.stat(pin.parent).st_dev
    except FileNotFoundError:
        return False


def remove(pin: Path) -> None:
    """Unpins; the namespace ends with its last process or socket. Nothing to remove is no error."""
    if exists(pin):
        _check(_libc.umount2(os.fsencode(pin), MNT_DETACH), f"unpin namespace at {pin}")
    pin.unlink(missing_ok=True)


def run_in(pin: Path, work: Callable[[], T]) -> T:
    """Runs a short blocking function inside the namespace; sockets it opens stay there for good."""

    def entered() -> T:
        fd = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(fd, CLONE_NEWNET), f"enter namespace {pin}")
        finally:
            os.close(fd)
        return work()

    return _in_thread(entered)


def open_socket(pin: Path, family: int, kind: int, proto: int = 0) -> socket.socket:
    """A socket of this process that lives in the namespace."""
    return run_in(pin, lambda: socket.socket(family, kind, proto))


def command(pin: Path, *argv: str) -> tuple[str, ...]:
    """``argv`` as a command line that runs inside the namespace."""
    return ("nsenter", f"--net={pin}", "--", *argv)
