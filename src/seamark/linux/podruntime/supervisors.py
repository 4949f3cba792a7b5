"""Starts supervisors: asks the server that forks them (``linux/supervisor/main.py``), one for this whole process.

The server is started with the first pod, and again when it has died; it ends with this process, however that ends,
since nobody holds the other end of its socket any more.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from seamark.linux.runtime import RuntimeFault

SOURCE = str(Path(__file__).parents[3])
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from seamark.linux.supervisor.main import serve; serve(3)"
TITLE_ROOM = "." * 512
"""An argument that says nothing: what a supervisor is shown as by ps is written over it."""

ANSWER = 4096


class ForkServer:
    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._owner = 0

    def ask(self, directory: Path, report: int) -> None:
        """Raises OSError."""
        for last in (False, True):
            if self._sock is None or self._owner != os.getpid():
                self._start()
            try:
                assert self._sock is not None
                socket.send_fds(self._sock, [os.fsencode(directory)], [report])
                return
            except OSError:
                self._sock = None
                if last:
                    raise

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            moves = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
            moves.append((os.POSIX_SPAWN_DUP2, theirs.fileno(), 3))
            argv = [sys.executable, "-I", "-S", "-c", PROGRAM, SOURCE, TITLE_ROOM]
            defaults = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM]
            os.posix_spawn(
                sys.executable, argv, os.environ, file_actions=moves, setsigdef=defaults, setsigmask=[], setsid=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(null)
            theirs.close()
        self._sock, self._owner = ours, os.getpid()


_server = ForkServer()


async def start_supervisor(sandbox: Path) -> int:
    """Its pid, once it listens. Raises RuntimeFault FailedCreatePodSandBox."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            _server.ask(sandbox, writing)
        except OSError as error:
            raise RuntimeFault("FailedCreatePodSandBox", f"supervisor: {error.strerror}") from error
        finally:
            os.close(writing)
        answer = await _read_line(reading)
    finally:
        os.close(reading)
    word, _, pid = answer.strip().partition(" ")
    if word != "ready":
        raise RuntimeFault("FailedCreatePodSandBox", f"supervisor: {answer.strip() or 'it ended at once'}")
    return int(pid)


async def _read_line(fd: int) -> str:
    """To the end of the line, or of the pipe."""
    loop = asyncio.get_running_loop()
    text = b""
    while not text.endswith(b"\n"):
        ready = asyncio.Event()
        loop.add_reader(fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(fd)
        data = os.read(fd, ANSWER)
        if not data:
            break
        text += data
    return text.decode(errors="replace")
