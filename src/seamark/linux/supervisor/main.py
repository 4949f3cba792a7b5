"""The supervisor's entry point: leave the caller, make the namespaces, say ``ready PID``, serve."""

from __future__ import annotations

import json
import os
import sys

from seamark.linux.supervisor.kernel import become_subreaper, enter_namespaces, hold_processes, read_text
from seamark.linux.supervisor.pod import Pod


def main(directory: str) -> None:
    os.chdir(directory)
    # An event loop may start several children at once, and each then holds the others' pipes: whoever outlives its
    # caller must drop what it was never meant to have, or the callers wait for our end.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if os.fork():
        os._exit(0)  # whoever started us waits for this process; the pod belongs to nobody's shell
    os.setsid()
    try:
        become_subreaper()
        sandbox = json.loads(read_text("sandbox.json"))
        enter_namespaces(sandbox)
        holder = hold_processes() if sandbox["share_pid"] else 0
        pod = Pod(sandbox, holder)
        pod.changed()
        log = os.open("supervisor.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.write(f"ready {os.getpid()}\n")
    sys.stdout.flush()
    os.dup2(pod.null, 0)
    os.dup2(pod.null, 1)
    os.dup2(log, 2)
    pod.loop.run()
