"""Where a container's output comes from (pipes, or the terminal runc made) and how it gets into its log."""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seamark.linux.supervisor.loop import Loop

LINE_LIMIT = 16 * 1024


def complain(what: str, error: OSError) -> None:
    """Into supervisor.log: nothing here may end the pod."""
    sys.stderr.write(f"{what}: {error}\n")
    sys.stderr.flush()


class LogStream:
    """Copies one output of a container to its log in CRI format; ``close`` takes what is still in the pipe."""

    def __init__(self, loop: Loop, fd: int, log: int, name: str) -> None:
        self.loop, self.fd, self.log, self.name = loop, fd, log, name.encode()
        self.partial = b""
        os.set_blocking(fd, False)
        loop.watch(fd, self.read)

    def read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last holder of the terminal is gone
            data = b""
        if not data:
            self.loop.forget(self.fd)
            return False
        self._write(data)
        return True

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
        try:
            os.write(self.log, b"".join(out))
        except OSError as error:  # a full disk loses output, never the container
            complain("log", error)

    def close(self) -> None:
        for _ in range(10_000):
            if self.fd not in self.loop.readers or not self.read():
                break
        if self.partial:
            self._write(b"\n")
        self.loop.forget(self.fd)
        os.close(self.fd)


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
