"""Which cgroups the machine has, and where runc puts a container's: v1 controllers, v2, or none.

On a hybrid machine (v1 controllers and an empty unified tree) runc uses v1, and so does this. Pure but for
``read_layout``, ``find_unified``, ``find_group``, ``working_set``, ``members`` and ``remove_group``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seamark.linux.mountinfo import MountPoint, parse_mountinfo

PREFIX = "seamark-"


@dataclass(frozen=True, slots=True)
class CgroupLayout:
    """``controllers`` maps v1 controllers to their mounts; with v2 each maps to the one mount."""

    version: Literal["v1", "v2", "none"]
    controllers: dict[str, str]
    mounts: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return self.version != "none"

    def memory_events(self, group: str) -> str:
        """The file that counts the kernel's out-of-memory kills of ``group``; empty where nothing counts."""
        mount = self.controllers.get("memory")
        if not mount:
            return ""
        return f"{mount}/{group}/" + ("memory.events" if self.version == "v2" else "memory.oom_control")


def compile_layout(mounts: tuple[MountPoint, ...], v2_controllers: dict[str, str]) -> CgroupLayout:
    """``v2_controllers``: mount → text of its cgroup.controllers. runc wants v2 at /sys/fs/cgroup itself."""
    if any(mount.kind == "cgroup2" and mount.target == "/sys/fs/cgroup" for mount in mounts):
        names = v2_controllers.get("/sys/fs/cgroup", "").split()
        return CgroupLayout("v2", dict.fromkeys(names, "/sys/fs/cgroup"), ("/sys/fs/cgroup",))
    controllers: dict[str, str] = {}
    for mount in mounts:
        if mount.kind == "cgroup":
            controllers |= dict.fromkeys(mount.super_options.split(","), mount.target)
    if "devices" not in controllers and "memory" not in controllers:
        return CgroupLayout("none", {})
    targets = [mount.target for mount in mounts if mount.kind in {"cgroup", "cgroup2"}]
    return CgroupLayout("v1", controllers, tuple(targets))


def read_layout() -> CgroupLayout:
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    texts = {}
    for mount in mounts:
        if mount.kind == "cgroup2":
            texts[mount.target] = (Path(mount.target) / "cgroup.controllers").read_text()
    return compile_layout(mounts, texts)


def find_unified() -> Path | None:
    """Where the tree of v2 is mounted, be it the only one or beside v1; None = nowhere."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return next((Path(mount.target) for mount in mounts if mount.kind == "cgroup2"), None)


def find_group(number: int) -> Path | None:
    """The directory of a v2 cgroup by its number (its inode); None where it has gone or is out of sight."""
    mount = find_unified()
    groups = (Path(directory) for directory, _, _ in os.walk(mount)) if mount else iter(())
    for group in groups:
        with suppress(OSError):  # one that is just being removed
            if group.stat().st_ino == number:
                return group
    return None


def group_of(uid: str, key: str = "") -> str:
    """Each pod has a group of its own at the top: a shared parent could vanish while another pod is being made."""
    return f"{PREFIX}{uid}/{key}" if key else f"{PREFIX}{uid}"


def working_set(layout: CgroupLayout, group: str) -> int | None:
    """Bytes of memory in use, without the cache that the kernel may take back; None where nothing counts them."""
    mount = layout.controllers.get("memory")
    if not mount:
        return None
    v2 = layout.version == "v2"
    used, cold = ("memory.current", "inactive_file") if v2 else ("memory.usage_in_bytes", "total_inactive_file")
    try:
        total = int(Path(mount, group, used).read_text())
        stat = dict(line.split(" ", 1) for line in Path(mount, group, "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # it has ended meanwhile
        return None
    return max(0, total - int(stat.get(cold, 0)))


def members(layout: CgroupLayout, group: str) -> frozenset[int]:
    """The processes in ``group`` and below it."""
    found: set[int] = set()
    for mount in layout.mounts:
        for directory, _, _ in os.walk(Path(mount, group)):
            with suppress(OSError):  # a group that is just being removed
                found |= {int(line) for line in Path(directory, "cgroup.procs").read_text().split()}
    return frozenset(found)


def remove_group(layout: CgroupLayout, group: str) -> None:
    """Removes the directories of ``group`` from the bottom up; one with a process in it stays."""
    for mount in layout.mounts:
        for directory, _, _ in os.walk(Path(mount, group), topdown=False):
            with suppress(OSError):
                os.rmdir(directory)
