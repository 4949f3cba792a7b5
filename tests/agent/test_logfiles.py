"""The node's log files, looked at by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamark.agent.logfiles import read_log_file
from seamark.agent.podspec import Pod
from seamark.machinery.streams import LogFolder
from seamark.model import codec

PODS = [codec.convert({"metadata": {"namespace": "default", "name": name, "uid": f"u-{name}"}}, Pod) for name in "ab"]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    logs = tmp_path / "pods" / "u-a" / "logs" / "main"
    logs.mkdir(parents=True)
    (logs / "0.log").write_bytes(b"one\n")
    (tmp_path / "pods" / "u-a" / "etc-hosts").write_text("127.0.0.1 localhost\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", LogFolder(("pods/",))),
        ("/pods/", LogFolder(("default_a_u-a/", "default_b_u-b/"))),
        ("pods/default_a_u-a", LogFolder(("main/",))),
        ("pods/default_a_u-a/main", LogFolder(("0.log",))),
        ("pods/default_a_u-a/main/0.log", b"one\n"),
        ("pods/default_b_u-b", LogFolder(())),
        ("pods/default_c_u-c", None),
        ("pods/default_a_u-a/main/1.log", None),
        ("pods/default_a_u-a/main/0.log/x", None),
        ("pods/default_a_u-a/../etc-hosts", None),
        ("pods/default_a_u-a/main/../../etc-hosts", None),
        ("etc", None),
    ],
)
def test_paths(state_dir: Path, path: str, found: LogFolder | bytes | None) -> None:
    assert read_log_file(path, PODS, state_dir) == found
