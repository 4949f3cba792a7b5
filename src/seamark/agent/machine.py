"""What the machine below a node is: its size, its kernel, its name, for the Node object.

Read once at the start of an agent; a file that is not there gives an empty value, never a guess.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _memory(meminfo: str) -> int:
    line = next((line for line in meminfo.splitlines() if line.startswith("MemTotal:")), "MemTotal: 0 kB")
    return int(line.split()[1]) * 1024


def _os_image(os_release: str) -> str:
    pairs = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return pairs.get("PRETTY_NAME", "").strip('"')
