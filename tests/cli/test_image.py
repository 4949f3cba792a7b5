"""``seamark image pull`` and ``rm``: what is said, and what is refused before anybody is asked."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest

from seamark.agent.images.pull import Progress
from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.cli.image import (
    PASSWORD,
    PullMeter,
    PullOptions,
    run_build,
    run_load,
    run_pull,
    run_rm,
    run_save,
)
from seamark.cli.settings import Given, Settings, merge_settings


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "cluster")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_for_each_layer_that_is_whole() -> None:
    out = io.StringIO()
    meter = PullMeter(out)
    for done in (1_000_000, 2_000_000):
        meter(Progress("sha256:" + "ab" * 32, done, 2_000_000))
    assert out.getvalue() == "  abababababab: 2.0 MB\n"


def test_one_line_that_moves_on_a_terminal() -> None:
    out = Terminal()
    meter = PullMeter(out)
    meter(Progress("sha256:a", 1_000_000, 2_000_000))
    meter(Progress("sha256:b", 1_000_000, 1_000_000))
    meter(Progress("sha256:a", 2_000_000, 2_000_000))
    assert out.getvalue().split("\r")[1:] == [
        "  1 layer(s): 1.0 of 2.0 MB",
        "  2 layer(s): 2.0 of 3.0 MB",
        "  2 layer(s): 3.0 of 3.0 MB\n",
    ]


def test_a_registry_that_is_gone_is_named(data: DataDir) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"image pull {host}/web:1: {host}: "):
        run_pull(data, [f"{host}/web:1"], PullOptions((), ""))


def test_what_is_refused_before_anybody_is_asked(data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(UserError, match=f"set {PASSWORD}"):
        run_pull(data, ["127.0.0.1:1/web:1"], PullOptions((), "me"))
    with pytest.raises(UserError, match="not HOST or HOST:PORT"):
        run_pull(data, ["127.0.0.1:1/web:1"], PullOptions(("http://registry.lan",), ""))
    with pytest.raises(UserError, match="lower case"):
        run_pull(data, ["127.0.0.1:1/Web:1"], PullOptions((), ""))
    with pytest.raises(UserError, match="not here"):
        run_rm(data, ["web:1"])


def test_registries_are_asked_only_when_the_cluster_was_told_so() -> None:
    assert not merge_settings(Given(), None, free_port=1).pull
    told = merge_settings(Given(pull=True, insecure_registries=("registry.lan:5000",)), Settings(), free_port=1)
    assert (told.pull, told.insecure_registries) == (True, ("registry.lan:5000",))
    assert merge_settings(Given(), told, free_port=1) == told
    assert not merge_settings(Given(pull=False), told, free_port=1).pull
    with pytest.raises(UserError, match="--insecure-registry a/b"):
        merge_settings(Given(insecure_registries=("a/b",)), told, free_port=1)


def test_built_from_a_folder_saved_and_loaded_again(
    data: DataDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rootfs"
    folder.mkdir()
    (folder / "hello").write_text("#!/bin/sh\n")
    changes = {"Entrypoint": ["/hello"], "Cmd": None, "Env": None, "WorkingDir": "", "User": ""}
    run_build(data, "hello:1", folder, base="", changes=changes)
    run_save(data, "hello:1", tmp_path / "hello.tar")
    run_rm(data, ["hello:1"])
    run_load(data, tmp_path / "hello.tar")
    assert capsys.readouterr().out.splitlines()[-1] == "docker.io/library/hello:1"


def test_what_cannot_be_built_or_saved_is_named(data: DataDir, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        run_build(data, "hello:1", tmp_path / "nosuch", base="", changes={"Env": None})
    with pytest.raises(UserError, match="--from nosuch:1: not here"):
        run_build(data, "hello:1", tmp_path, base="nosuch:1", changes={"Env": None})
    with pytest.raises(UserError, match="not NAME=VALUE"):
        run_build(data, "hello:1", tmp_path, base="", changes={"Env": ["A"]})
    with pytest.raises(UserError, match="nosuch:1: not here"):
        run_save(data, "nosuch:1", tmp_path / "x.tar")
