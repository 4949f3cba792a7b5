"""What must be there before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seamark.cli import preflight
from seamark.cli.errors import UserError


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ip", "nsenter", "nft"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UserError, match=r"^up: missing on this machine: runc; `apt-get install runc` brings them$"):
        preflight.check_machine(nodes=1)
    preflight.check_machine(nodes=0)


def test_nodes_without_root_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match=r"^up: nodes need root .* `seamark up --nodes 0`"):
        preflight.check_machine(nodes=3)
    preflight.check_machine(nodes=0)


def test_sbin_is_looked_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/sbin")
    preflight.extend_path()
    preflight.extend_path()
    assert os.environ["PATH"] == "/usr/bin:/sbin:/usr/local/sbin:/usr/sbin"
