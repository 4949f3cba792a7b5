"""The data directory: private files, one owner, clear refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seamark.cli.datadir import DataDir, write_private
from seamark.cli.errors import UserError


def test_only_one_process_holds_it(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "c")
    data.make()
    assert data.running_pid() is None
    fd = data.take_lock()
    try:
        assert data.running_pid() == os.getpid()
        with pytest.raises(UserError, match=rf"a Seamark is running there \(process {os.getpid()}\)"):
            data.take_lock()
    finally:
        os.close(fd)
    assert data.running_pid() is None


def test_a_killed_owner_leaves_it_free(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    code = "import sys; from pathlib import Path; from seamark.cli.datadir import DataDir; "
    code += f"DataDir(Path({str(tmp_path)!r})).take_lock(); import os; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert data.running_pid() is None
    os.close(data.take_lock())


def test_private_files_are_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be made: Not a directory"):
        DataDir(tmp_path / "file" / "c").make()
