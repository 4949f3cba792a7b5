"""The supervisor's event loop: descriptors and children, each with the function to call when it has something."""

from __future__ import annotations

import os
import select
import signal
import sys
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
NOT_RUN = 127 << 8


class Loop:
    """Descriptors and children, each with the function to call when it has something."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.readers: dict[int, Callable[[], object]] = {}
        self.children: dict[int, Callable[[int], None]] = {}
        self.strays: dict[int, int] = {}
        self.starting = 0
        self.stopped = False
        self.complaint = ""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watch(woken, lambda: self._reap(woken))

    def watch(self, fd: int, ready: Callable[[], object]) -> None:
        """Calls ``ready`` whenever ``fd`` has something to read; watching it already is no error."""
        if fd not in self.readers:
            self.epoll.register(fd, select.EPOLLIN)
        self.readers[fd] = ready

    def watch_writing(self, fd: int, ready: Callable[[], object]) -> None:
        """Calls ``ready`` when nobody reads the pipe any more, and when it has room, once that is wanted."""
        self.readers[fd] = ready
        self.epoll.register(fd, 0)

    def want_room(self, fd: int, *, wanted: bool) -> None:
        self.epoll.modify(fd, select.EPOLLOUT if wanted else 0)

    def forget(self, fd: int) -> None:
        if self.readers.pop(fd, None):
            self.epoll.unregister(fd)

    def on_exit(self, pid: int, ended: Callable[[int], None]) -> None:
        """Calls ``ended`` with the wait status, also when the child ended before anyone knew its pid."""
        if pid in self.strays:
            ended(self.strays.pop(pid))
        else:
            self.children[pid] = ended

    def spawn(self, argv: list[str], stdio: tuple[int, int, int], ended: Callable[[int], None]) -> None:
        """Runs a short program; ``ended`` gets its wait status, at once when it cannot be run at all."""
        moves = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)]
        ignored_by_python = [signal.SIGPIPE, signal.SIGXFSZ]
        try:
            pid = os.posix_spawnp(argv[0], argv, ENVIRONMENT, file_actions=moves, setsigdef=ignored_by_python)
        except OSError as error:
            self.complaint = f"{argv[0]}: {error.strerror}"
            sys.stderr.write(f"{self.complaint}\n")
            ended(NOT_RUN)
            return
        self.children[pid] = ended

    def take_complaint(self) -> str:
        """Why the last program could not be run, if that was so."""
        told, self.complaint = self.complaint, ""
        return told

    def _reap(self, woken: int) -> None:
        os.read(woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self.children.pop(pid, None)
            if ended:
                self._call(partial(ended, status))
            elif self.starting:
                self.strays[pid] = status

    def begin(self) -> None:
        """From here to ``settle`` an unknown pid may be the process that a running ``runc`` just started."""
        self.starting += 1

    def settle(self) -> None:
        self.starting -= 1
        if not self.starting:
            self.strays.clear()

    def run(self) -> None:
        while not self.stopped:
            for fd, _ in self.epoll.poll():
                ready = self.readers.get(fd)
                if ready:
                    self._call(ready)

    def _call(self, ready: Callable[[], object]) -> None:
        """A fault in one request or container must not end the pod."""
        try:
            ready()
        except Exception:
            kind, error, trace = sys.exc_info()
            if kind and error:
                sys.excepthook(kind, error, trace)
            sys.stderr.flush()
