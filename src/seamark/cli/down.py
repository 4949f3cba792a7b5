"""``seamark down``: ends the cluster of a data directory, whatever state it is in, and removes all it left.

The running process is asked to stop (pods end, data stays). Where it is gone, or was killed, what outlived it is
removed from here: supervisors, mounts, namespaces. With --purge the data directory goes as well.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time

from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.linux import fabric
from seamark.linux.nfnetlink import Nfnetlink
from seamark.linux.nodelocal import remove_node_local
from seamark.linux.podruntime.cleanup import remove_all

STOP_SECONDS = 60


def run_down(data: DataDir, *, purge: bool) -> None:
    if not data.root.exists():
        print(f"nothing to take down: {data.root} does not exist")
        return
    pid = data.running_pid()
    if pid:
        print(f"stopping process {pid}")
        _stop(pid, data)
    leave_nothing(data)
    print(f"down: {data.root}" + (" removed" if purge else " kept; `seamark up` brings the same cluster back"))
    if purge:
        shutil.rmtree(data.root)


def leave_nothing(data: DataDir) -> None:
    """Removes every process, mount and namespace of this data directory; idempotent."""
    settings = data.read_settings()
    on_machine = settings is not None and settings.host
    nodes = data.root / "nodes"
    for directory in sorted(nodes.iterdir()) if nodes.is_dir() else ():
        asyncio.run(remove_all(directory, None if on_machine else data.namespace(directory.name)))
    if on_machine:
        with Nfnetlink(None) as netlink:
            for family in ("ip", "ip6"):
                netlink.delete_table(family, "seamark")
        if settings is not None and settings.node_local_dns:
            asyncio.run(remove_node_local())
    fabric.remove_fabric(data.namespaces)


def _stop(pid: int, data: DataDir) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise UserError(f"down: process {pid} belongs to another user; run this as that user or root") from None
    deadline = time.monotonic() + STOP_SECONDS
    while data.running_pid() == pid:
        if time.monotonic() > deadline:
            raise UserError(f"down: process {pid} did not end within {STOP_SECONDS} s; end it, then run this again")
        time.sleep(0.05)
