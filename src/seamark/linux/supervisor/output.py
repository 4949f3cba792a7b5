"""Where a container's output comes from (pipes, or the terminal runc made) and where it goes: log and attached clients.

The log comes first and never waits. A client that reads slowly holds the container's output back, as in Kubernetes:
nothing is lost for it; one that is gone is dropped at once.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seamark.linux.supervisor.loop import Loop

LOG_LIMIT, LOG_FILES = 10 << 20, 5  # kubelet's containerLogMaxSize and containerLogMaxFiles
LINE_LIMIT = 16 * 1024


def complain(what: str, error: OSError) -> None:
    """Into supervisor.log: nothing here may end the pod."""
    sys.stderr.write(f"{what}: {error}\n")
    sys.stderr.flush()


class LogFile:
    """A container's log. At ``limit`` bytes it becomes ``PATH.1``, that ``PATH.2`` and so on, ``files`` in all.

    Entries are never cut: a rotation falls between two. Both outputs of a container write through one LogFile.
    """

    def __init__(self, path: str, *, limit: int = LOG_LIMIT, files: int = LOG_FILES) -> None:
        self.path, self.limit, self.files = path, limit, files
        self._open()

    def _open(self) -> None:
        self.fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.size = os.fstat(self.fd).st_size

    def write(self, entries: bytes) -> None:
        try:
            self.size += os.write(self.fd, entries)
            if self.size >= self.limit:
                self._rotate()
        except OSError as error:  # a full disk loses output, never the container
            complain("log", error)

    def _rotate(self) -> None:
        for number in range(self.files - 2, 0, -1):
            if os.path.exists(f"{self.path}.{number}"):
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        os.replace(self.path, f"{self.path}.1")
        full = self.fd
        self._open()
        os.close(full)

    def close(self) -> None:
        os.close(self.fd)


class Tap:
    """An attached client's end of one output: a pipe. What it does not take yet is kept and holds the output back."""

    def __init__(self, loop: Loop, fd: int, on_room: Callable[[], object]) -> None:
        self.loop, self.fd, self.on_room = loop, fd, on_room
        self.pending = b""
        self.ending = False
        os.set_blocking(fd, False)
        loop.watch_writing(fd, self._ready)

    @property
    def open(self) -> bool:
        return self.fd >= 0

    def write(self, data: bytes) -> None:
        if self.open:
            self.pending += data
            self._flush()

    def end(self) -> None:
        """The client gets what is kept, then the end."""
        self.ending = True
        self._flush()

    def drop(self) -> None:
        if self.open:
            self.loop.forget(self.fd)
            os.close(self.fd)
            self.fd, self.pending = -1, b""

    def _ready(self) -> None:
        """There is room, or nobody reads any more."""
        if self.pending:
            self._flush()
        else:
            self.drop()
        self.on_room()

    def _flush(self) -> None:
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.fd, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads any more
            self.drop()
        if not self.open:
            return
        if self.ending and not self.pending:
            self.drop()
        else:
            self.loop.want_room(self.fd, wanted=bool(self.pending))


class LogStream:
    """Copies one output of a container to its log in CRI format, and as it is to whoever is attached.

    ``close`` takes what is still in the pipe.
    """

    def __init__(self, loop: Loop, fd: int, log: LogFile, name: str) -> None:
        self.loop, self.fd, self.log, self.name = loop, fd, log, name.encode()
        self.partial = b""
        self.over = False
        self.taps: list[Tap] = []
        os.set_blocking(fd, False)
        loop.watch(fd, self.read)

    def tap(self, fd: int) -> Tap:
        """Copies what comes from now on to ``fd``, which is taken over."""
        tap = Tap(self.loop, fd, self._resume)
        self.taps.append(tap)
        return tap

    def read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last holder of the terminal is gone
            data = b""
        if not data:
            self.over = True
            self.loop.forget(self.fd)
            return False
        self._write(data)
        for tap in self.taps:
            tap.write(data)
        self.taps = [tap for tap in self.taps if tap.open]
        if any(tap.pending for tap in self.taps):
            self.loop.forget(self.fd)
        return True

    def _resume(self) -> None:
        self.taps = [tap for tap in self.taps if tap.open]
        if self.fd >= 0 and not self.over and not any(tap.pending for tap in self.taps):
            self.loop.watch(self.fd, self.read)

    def _write(self, data: bytes) -> None:
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)).encode()
        head = b"%s.%09dZ %s " % (stamp, now % 10**9, self.name)
        lines = (self.partial + data).split(b"\n")
        self.partial = lines.pop()
        out: list[bytes] = []
        for line in lines:
            while len(line) > LINE_LIMIT:
                out += [head, b"P ", line[:LINE_LIMIT], b"\n"]
                line = line[LINE_LIMIT:]
            out += [head, b"F ", line, b"\n"]
        while len(self.partial) >= LINE_LIMIT:
            out += [head, b"P ", self.partial[:LINE_LIMIT], b"\n"]
            self.partial = self.partial[LINE_LIMIT:]
        if out:
            self.log.write(b"".join(out))

    def close(self) -> None:
        for _ in range(10_000):
            if self.over or not self.read():
                break
        if self.partial:
            self._write(b"\n")
        self.loop.forget(self.fd)
        os.close(self.fd)
        self.fd = -1
        for tap in self.taps:
            tap.end()


class Console:
    """A socket on which ``runc`` hands over the terminal it made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(name)
        self.listener.listen(1)

    def close(self, *, receive: bool) -> int:
        """The terminal, or -1 when none was asked for."""
        self.listener.settimeout(5)
        try:
            if not receive:
                return -1
            connection, _ = self.listener.accept()
            with connection:
                return socket.recv_fds(connection, 4096, 1)[1][0]
        finally:
            self.listener.close()
            os.unlink(self.name)
