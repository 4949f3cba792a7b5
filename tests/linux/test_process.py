"""Commands are run to their end; a pid is only killed together with its start time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import uvloop

from seamark.linux.process import kill_exactly, run, start_time


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


async def test_output_and_exit_code() -> None:
    result = await run(sys.executable, "-c", "import sys; print(input()); sys.exit('no')", stdin="hello\n")
    assert (result.code, result.stdout, result.stderr) == (1, "hello\n", "no\n")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_program_need_not_read_what_it_is_told(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """nft that is missing or too old ends before it has read a line."""

    async def many() -> set[int]:
        return {(await run("sh", "-c", "exit 3", stdin="x" * 200_000)).code for _ in range(20)}

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(many()) == {3}


async def test_missing_program() -> None:
    with pytest.raises(FileNotFoundError):
        await run("/nonexistent/program")


async def test_a_cancelled_command_is_killed() -> None:
    task = asyncio.create_task(run("sleep", "60"))
    for _ in range(200):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_kills_the_process_that_began_then(child: subprocess.Popen[bytes]) -> None:
    assert kill_exactly(child.pid, start_time(child.pid))
    assert child.wait() == -9


def test_spares_another_process_of_the_same_pid(child: subprocess.Popen[bytes]) -> None:
    assert not kill_exactly(child.pid, start_time(child.pid) - 1)
    assert child.poll() is None


def test_a_zombie_counts_as_gone(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) == 0


@pytest.mark.parametrize("pid", [0, 1, -1, 2**22 + 1])
def test_never_init_nor_nobody(pid: int) -> None:
    assert not kill_exactly(pid, 5)
