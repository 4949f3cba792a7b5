"""What a cluster has on the machine, counted from outside: to tell whether pods that came and went left anything.

Only the cluster's own things count, so that several may run side by side. Needs root.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from seamark.linux import cgroups, netns


def count_traces(data: Path, uids: Iterable[str] = ()) -> dict[str, int]:
    """``data`` is the cluster's directory; of ``uids`` (pods that are gone) nothing should be found at all."""
    main = int((data / "lock").read_text())
    own = processes_of(data)
    nodes = [pin for pin in (data / "run" / "netns").iterdir() if netns.exists(pin)]
    layout = cgroups.read_layout()
    groups = [Path(mount, cgroups.group_of(uid)) for mount in layout.mounts for uid in uids]
    return {
        "processes": len(own),
        "namespaces": len({link for pid in own for link in _namespaces(pid)}),
        "mounts": sum(str(data) in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": sum(len(netns.run_in(pin, socket.if_nameindex)) for pin in nodes),
        "cgroups of pods that are gone": sum(group.exists() for group in groups),
        "pod directories": len(list(data.glob("nodes/*/pods/*"))),
        "descriptors of the main process": len(os.listdir(f"/proc/{main}/fd")),
    }


def _namespaces(pid: int) -> list[str]:
    try:
        return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "mnt", "pid")]
    except OSError:  # it has ended meanwhile
        return []


def processes_of(data: Path) -> list[int]:
    """The main process, and whatever lives in a mount namespace that has something of the cluster mounted."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes()
            inside = f"{data}/nodes" in (process / "mountinfo").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if inside or (str(data).encode() in told and b"seamark" in told):
            found.append(int(process.name))
    return found
