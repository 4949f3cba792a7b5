"""``seamark up --detach``: starts the same command in the background and passes on what it reports.

It waits while its child comes up, so it imports nothing of the cluster itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError

READY_FD = "SEAMARK_READY_FD"
"""Environment variable: the descriptor on which a detached child reports its stages and READY."""

READY, ERROR = "READY", "ERROR"


def start_in_background(data: DataDir) -> None:
    """Starts the same command without --detach in a session of its own and passes its report on.

    UserError with the child's own words when it ends before it is ready.
    """
    read_fd, write_fd = os.pipe()
    data.make()
    with data.log.open("ab") as log:
        subprocess.Popen(  # outlives us on purpose
            [sys.executable, "-m", "seamark", *(a for a in sys.argv[1:] if a != "--detach")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(write_fd,),
            start_new_session=True,
            env={**os.environ, READY_FD: str(write_fd)},
        )
    os.close(write_fd)
    with os.fdopen(read_fd) as report:
        for line in report:
            if line.strip() == READY:
                return
            if line.startswith(ERROR):
                raise UserError(line.removeprefix(ERROR).strip())
            print(line, end="", flush=True)
    raise UserError(f"up: ended before it was ready; {data.log} says why")
