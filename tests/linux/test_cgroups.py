"""The three kinds of machine, and the file that counts out-of-memory kills on each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from seamark.linux.cgroups import CgroupLayout, compile_layout, group_of, working_set
from seamark.linux.mountinfo import MountPoint

TMPFS = MountPoint("/sys/fs/cgroup", "tmpfs")
MEMORY = MountPoint("/sys/fs/cgroup/memory", "cgroup", "/", "rw,memory")
CPU = MountPoint("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "/", "rw,cpu,cpuacct")
UNIFIED = MountPoint("/sys/fs/cgroup/unified", "cgroup2", "/", "rw")


def test_hybrid_uses_the_v1_controllers() -> None:
    layout = compile_layout((TMPFS, MEMORY, CPU, UNIFIED), {"/sys/fs/cgroup/unified": "hugetlb"})
    assert layout.version == "v1"
    assert layout.controllers["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert layout.memory_events("seamark/u/c-0") == "/sys/fs/cgroup/memory/seamark/u/c-0/memory.oom_control"
    assert UNIFIED.target in layout.mounts  # runc makes its directory there too


def test_unified() -> None:
    layout = compile_layout((MountPoint("/sys/fs/cgroup", "cgroup2"),), {"/sys/fs/cgroup": "cpu memory pids\n"})
    assert layout.version == "v2"
    assert set(layout.controllers) == {"cpu", "memory", "pids"}
    assert layout.memory_events(group_of("u", "c-0")) == "/sys/fs/cgroup/seamark-u/c-0/memory.events"


@pytest.mark.parametrize(
    ("version", "used", "cold"),
    [("v1", "memory.usage_in_bytes", "total_inactive_file"), ("v2", "memory.current", "inactive_file")],
)
def test_memory_in_use(tmp_path: Path, version: Literal["v1", "v2"], used: str, cold: str) -> None:
    layout = CgroupLayout(version, {"memory": str(tmp_path)})
    assert working_set(layout, "g") is None
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / used).write_text("1000\n")
    (tmp_path / "g" / "memory.stat").write_text(f"cache 500\n{cold} 300\n")
    assert working_set(layout, "g") == 700
    assert working_set(CgroupLayout("v1", {}), "g") is None


def test_without_a_memory_controller_nothing_counts() -> None:
    layout = compile_layout((MountPoint("/sys/fs/cgroup", "cgroup2"),), {"/sys/fs/cgroup": "pids"})
    assert layout.usable
    assert layout.memory_events("g") == ""


def test_none() -> None:
    assert not compile_layout((TMPFS,), {}).usable
    assert not compile_layout((UNIFIED,), {}).usable
