"""Any OCI runtime with runc's command line will do: what it is asked, and which one a pod gets."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime
from seamark.linux.podruntime import podruntime as module
from seamark.linux.runtime import RuntimeFault

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A runtime of another name that writes down what it is asked and lets runc do it."""
    path = tmp_path / "crun"
    script = f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/asked\nexec {shutil.which("runc")} "$@"\n'
    path.write_text(script.replace("exec", 'case "$1" in --version) echo crun version 9.9; exit;; esac\nexec'))
    path.chmod(0o755)
    return path


@pytest.fixture
async def other(node: Any, program: Path) -> AsyncIterator[Any]:
    await node.runtime.close()
    clock = SystemClock()
    node.runtime = PodRuntime(state_dir=node.directory, node_namespace=node.pin, clock=clock, program=str(program))
    yield node


def asked(program: Path) -> list[list[str]]:
    """Commands with their flags, without paths and ids."""
    lines = [shlex.split(line) for line in (program.parent / "asked").read_text().splitlines()]
    return [[word for word in line if word.startswith("--") or word in ("run", "exec", "delete")] for line in lines]


async def test_the_command_line(other: Any, program: Path) -> None:
    assert other.runtime.version == "crun://9.9"
    await other.runtime.create_sandbox(other.sandbox(1))
    await other.runtime.start_container(other.container(1, "sleep", "600", tty=True))
    assert await other.command(1, "echo", "hello") == (0, "hello\n")
    await other.runtime.signal_container(other.uid(1), "main", 9)
    await other.ended(1)
    await other.runtime.remove_sandbox(other.uid(1))
    common = ["--root", "--log", "--log-format"]
    run = [*common, "run", "--detach", "--bundle", "--pid-file", "--console-socket"]
    execute = [*common, "exec", "--detach", "--pid-file", "--process"]
    assert [line for line in asked(program) if "--version" not in line] == [
        run,
        execute,
        [*common, "delete", "--force"],
    ]


async def test_a_handler_names_another_runtime(node: Any, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"crun": str(program), "runc": shutil.which("runc")}
    monkeypatch.setattr(module, "find_program", found.get)
    await node.runtime.create_sandbox(node.sandbox(1, handler="crun"))
    await node.runtime.start_container(node.container(1, "true"))
    await node.ended(1)
    assert asked(program)


@pytest.mark.parametrize(
    ("handler", "words"),
    [("rm", 'no runtime for "rm" is configured'), ("kata-runtime", "kata-runtime is not installed")],
)
async def test_a_handler_that_is_none(node: Any, handler: str, words: str) -> None:
    with pytest.raises(RuntimeFault, match=words) as caught:
        await node.runtime.create_sandbox(node.sandbox(1, handler=handler))
    assert caught.value.reason == "FailedCreatePodSandBox"
