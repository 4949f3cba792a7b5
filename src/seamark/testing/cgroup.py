"""A cgroup (v2) of a test's own, which this process enters to open sockets and leaves again. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seamark.linux import cgroups


@dataclass(frozen=True, slots=True)
class OwnCgroup:
    path: Path

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets opened inside the block are of this cgroup for good."""
        before = _own_group()
        _enter(self.path)
        try:
            yield
        finally:
            _enter(before)


@contextmanager
def make_cgroup(name: str) -> Iterator[OwnCgroup]:
    """Removed at the end; no process may be left in it."""
    found = OwnCgroup(_unified() / f"{name}-{os.getpid()}")
    found.path.mkdir()
    try:
        yield found
    finally:
        found.path.rmdir()


def _own_group() -> Path:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    inside = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
    return _unified() / inside


def _unified() -> Path:
    found = cgroups.find_unified()
    if found is None:
        raise RuntimeError("no cgroup2 is mounted")
    return found


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
