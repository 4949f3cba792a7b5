"""What the machine below a node is: its size, its kernel, its name, for the Node object.

``read_machine`` reads once, at the start of an agent; a file that is not there gives an empty value, never a guess.
``observe_machine`` tells what is left of what can run short.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seamark.agent.eviction import Observation

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Machine:
    """Sizes in bytes; ``architecture`` in Go's words (amd64, arm64)."""

    cpus: int
    memory: int
    storage: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    boot_id: str
    runtime: str = ""  # as in nodeInfo: runc://1.1.5


def read_machine(state_dir: Path, *, root: Path = Path("/")) -> Machine:
    machine = platform.machine()
    storage = os.statvfs(state_dir)
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory=_memory(_text(root / "proc/meminfo")),
        storage=storage.f_blocks * storage.f_frsize,
        architecture=ARCHITECTURES.get(machine, machine),
        kernel=platform.release(),
        os_image=_os_image(_text(root / "etc/os-release")),
        machine_id=_text(root / "etc/machine-id").strip(),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id").strip(),
    )


def observe_machine(state_dir: Path, images: Path, *, root: Path = Path("/")) -> dict[str, Observation]:
    """What is left of each resource, by eviction signal. Filesystems that count no inodes are left out."""
    meminfo = _text(root / "proc/meminfo")
    found = {"memory.available": Observation(_memory(meminfo, "MemAvailable"), _memory(meminfo))}
    for name, place in (("nodefs", state_dir), ("imagefs", images if images.exists() else state_dir)):
        fs = os.statvfs(place)
        found[f"{name}.available"] = Observation(fs.f_bavail * fs.f_frsize, fs.f_blocks * fs.f_frsize)
        if fs.f_files:
            found[f"{name}.inodesFree"] = Observation(fs.f_favail, fs.f_files)
    running = _text(root / "proc/loadavg").split()[3].partition("/")[2]
    most = min(int(_text(root / f"proc/sys/kernel/{name}")) for name in ("pid_max", "threads-max"))
    found["pid.available"] = Observation(most - int(running), most)
    return found


def disk_used(place: Path) -> int:
    """Bytes on the disk below a directory; what vanishes meanwhile does not count."""
    total = 0
    for directory, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                total += os.lstat(f"{directory}/{name}").st_blocks * 512
    return total


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _memory(meminfo: str, name: str = "MemTotal") -> int:
    line = next((line for line in meminfo.splitlines() if line.startswith(f"{name}:")), f"{name}: 0 kB")
    return int(line.split()[1]) * 1024


def _os_image(os_release: str) -> str:
    pairs = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return pairs.get("PRETTY_NAME", "").strip('"')
