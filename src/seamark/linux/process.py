"""One short command, run to its end: what it wrote and how it ended. And which processes are still there.

Only commands that end by themselves at once belong here; what lives longer has a supervisor.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = 126


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    stdout: str
    stderr: str


async def run(*argv: str, stdin: str = "") -> Result:
    """Never raises for a failing command, nor where the machine has no process left; FileNotFoundError where the
    program is missing.
    """
    said = _file_of(stdin.encode()) if stdin else asyncio.subprocess.DEVNULL
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=said,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"},
        )
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.ENOMEM):
            raise
        return Result(NOT_RUN, "", f"{argv[0]}: {os.strerror(error.errno)}")
    finally:
        if said >= 0:
            os.close(said)
    try:
        out, err = await child.communicate()
    except asyncio.CancelledError:
        if child.returncode is None:
            child.kill()
        await child.communicate()  # ends at once, and leaves neither zombie nor open pipe
        raise
    return Result(child.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))


def _file_of(data: bytes) -> int:
    """In memory, to be read from its beginning. No pipe: a child need not read it all, and uvloop fails a write to one
    that has ended.
    """
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def start_time(pid: int) -> int:
    """Clock ticks since boot at which the process began; 0 when there is none or a zombie (proc(5), stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def kill_exactly(pid: int, started: int) -> bool:
    """SIGKILL for the process that began at ``started``, never for a later one with its pid. False = it is gone."""
    if pid <= 1 or not started:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
