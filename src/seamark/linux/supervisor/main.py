"""The supervisor's entry point: a server that forks one for each pod, and what each begins with.

An interpreter costs some megabytes and some hundredths of a second; a fork of one that has everything loaded costs
what it writes itself. The server ends when nobody holds the other end of its socket; the supervisors live on. Each
says ``ready PID`` on the descriptor that came with the request, or what went wrong.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys

from seamark.linux.supervisor.kernel import become_subreaper, enter_namespaces, hold_processes, read_text, set_title
from seamark.linux.supervisor.pod import Pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def serve(fd: int) -> None:
    """One request is a sandbox's directory, with the descriptor for the answer."""
    requests = socket.socket(fileno=fd)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # each child ends at once and is nobody's to wait for
    set_title("seamark.linux.supervisor")
    gc.collect()
    gc.freeze()  # what is loaded is never looked at again, so its pages stay shared
    while True:
        directory, fds, _, _ = socket.recv_fds(requests, 65536, 1)
        if not directory:
            return
        try:
            if os.fork() == 0:
                _leave(directory.decode(), fds[0])
        except OSError as error:
            os.write(fds[0], f"{error.strerror}\n".encode())
        os.close(fds[0])


def _leave(directory: str, report: int) -> NoReturn:
    """The pod belongs to nobody's process tree, and holds nothing that it was never meant to have."""
    try:
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(report, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        main(directory)
    except OSError as error:
        os.write(1, f"{error.strerror}\n".encode())
    finally:
        os._exit(1)


def main(directory: str) -> None:
    os.chdir(directory)
    os.setsid()
    set_title(f"seamark.linux.supervisor {directory}")
    try:
        become_subreaper()
        sandbox = json.loads(read_text("sandbox.json"))
        enter_namespaces(sandbox)
        holder = hold_processes() if sandbox["share_pid"] else 0
        pod = Pod(sandbox, holder)
        pod.changed()
        log = os.open("supervisor.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        os.write(1, f"{error}\n".encode())
        os._exit(1)
    os.write(1, f"ready {os.getpid()}\n".encode())
    os.dup2(pod.null, 0)
    os.dup2(pod.null, 1)
    os.dup2(log, 2)
    pod.loop.run()
    sys.stderr.flush()
    os._exit(0)
