"""What is mounted where, from the text of /proc/self/mountinfo (proc(5)). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

DISK_FILESYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "erofs", "squashfs", "nfs", "nfs4"}
)
PROGRAM_DIRECTORIES = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu")


@dataclass(frozen=True, slots=True)
class MountPoint:
    target: str
    kind: str
    root: str = "/"
    super_options: str = ""


def parse_mountinfo(text: str) -> tuple[MountPoint, ...]:
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(tail) < 3:
            continue
        found.append(MountPoint(_unescape(fields[4]), tail[0], _unescape(fields[3]), tail[2]))
    return tuple(found)


def _unescape(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def is_below(path: str, directory: str) -> bool:
    """Whether ``path`` is ``directory`` or lies in it."""
    return path == directory or directory == "/" or path.startswith(directory + "/")


def select_program_mounts(mounts: tuple[MountPoint, ...]) -> tuple[str, ...]:
    """Mounts of their own that hold programs: a root filesystem used as a layer shows them as empty directories."""
    return tuple(
        sorted(
            {
                mount.target
                for mount in mounts
                if mount.kind in DISK_FILESYSTEMS
                and any(is_below(mount.target, directory) for directory in PROGRAM_DIRECTORIES)
            }
        )
    )


def select_hidden(paths: tuple[str, ...], mounts: tuple[MountPoint, ...]) -> tuple[str, ...]:
    """Those of ``paths`` that lie on another mount than the root and so are not seen through it."""
    others = [mount.target for mount in mounts if mount.target != "/"]
    return tuple(path for path in paths if any(is_below(path, target) for target in others))
