"""A cluster as a user has one: the ``seamark`` command in a process of its own, on a data directory of the test's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Seamark = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "cluster"


@pytest.fixture
def seamark(data_dir: Path) -> Iterator[Seamark]:
    """``seamark("up", "--nodes", "0")`` with --data-dir filled in; whatever it started is taken down at the end."""

    def run(*argv: str, env: dict[str, str] | None = None, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "seamark", argv[0], "--data-dir", str(data_dir), *argv[1:]]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env={**os.environ, **(env or {})}
        )

    yield run
    if data_dir.exists() and os.access(data_dir, os.W_OK):
        done = run("down", "--purge")
        assert done.returncode == 0, done.stderr
