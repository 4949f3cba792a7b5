"""Commands in running containers: every byte, every code, and an end with the client's."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from seamark.linux.runtime import RuntimeFault
from seamark.machinery.streams import TerminalSize

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Client, Node

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SLEEP = ("sleep", "600")


async def started(node: Node, number: int, *argv: str) -> None:
    await node.runtime.create_sandbox(node.sandbox(number))
    await node.runtime.start_container(node.container(number, *(argv or SLEEP)))


async def test_exec_carries_input_outputs_and_exit_code(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(b"one\n", b"two\n")
    code = await node.runtime.exec(
        node.uid(1), "main", ("sh", "-c", "cat; echo err >&2; exit 7"), io=io, tty=False, stdin=True
    )
    assert (code, io.out, io.err) == (7, b"one\ntwo\n", b"err\n")


async def test_exec_delivers_every_byte(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    data = os.urandom(3 << 20)
    io = client(*(data[at : at + 50_000] for at in range(0, len(data), 50_000)))
    assert await node.runtime.exec(node.uid(1), "main", ("cat",), io=io, tty=False, stdin=True) == 0
    assert io.out == data


async def test_exec_does_not_wait_for_a_child_in_the_background(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client()
    command = ("sh", "-c", "sleep 600 & echo done")
    assert await node.runtime.exec(node.uid(1), "main", command, io=io, tty=False, stdin=False) == 0
    assert io.out == b"done\n"


async def test_exec_on_a_terminal_with_resize(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(b"stty size; tty; exit 5\n", closes=False)
    io.sizes.put_nowait(TerminalSize(width=123, height=45))
    code = await node.runtime.exec(node.uid(1), "main", ("sh",), io=io, tty=True, stdin=True)
    assert code == 5
    assert b"45 123\r\n/dev/pts/0\r\n" in io.out
    assert io.err == b""


async def test_exec_of_what_does_not_exist(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    for tty in (False, True):
        with pytest.raises(RuntimeFault) as caught:
            await node.runtime.exec(node.uid(1), "main", ("nosuch",), io=client(), tty=tty, stdin=False)
        assert (caught.value.reason, caught.value.message) == (
            "StartError",
            'exec: "nosuch": executable file not found in $PATH',
        )


async def test_a_command_dies_with_its_client(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(closes=False)
    running = asyncio.create_task(
        node.runtime.exec(node.uid(1), "main", ("sh", "-c", "echo $$; sleep 600; true"), io=io, tty=False, stdin=True)
    )
    await io.shown(b"\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(100):
        code, _ = await node.command(1, "kill", "-0", io.out.decode().strip())
        if code != 0:
            break
    assert code != 0
    # the container's own is left; the other may stay a zombie, for process 1 here is no reaper
    assert (await node.command(1, "sh", "-c", "ps -eo stat,comm | grep -c '^[^Z].*sleep'"))[1] == "1\n"


async def test_a_command_in_a_container_that_ended(node: Node, client: type[Client]) -> None:
    await started(node, 1, "true")
    await node.ended(1)
    with pytest.raises(RuntimeFault, match="not running"):
        await node.runtime.exec(node.uid(1), "main", ("true",), io=client(), tty=False, stdin=False)


async def test_a_container_that_ends_takes_its_commands_along(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(closes=False)
    command = ("sh", "-c", "echo up; sleep 600")
    running = asyncio.create_task(node.runtime.exec(node.uid(1), "main", command, io=io, tty=False, stdin=True))
    await io.shown(b"up")
    await node.runtime.signal_container(node.uid(1), "main", signal.SIGKILL)
    assert await running == 137


async def test_probe_output_is_limited_and_late_ones_are_killed(node: Node) -> None:
    await started(node, 1)
    code, output = await node.runtime.probe_exec(node.uid(1), "main", ("seq", "100000"), timeout=20)
    assert (code, len(output)) == (0, 10 * 1024)
    with pytest.raises(TimeoutError, match=r"'sleep' timed out after 0\.05 seconds"):
        await node.runtime.probe_exec(node.uid(1), "main", ("sleep", "300"), timeout=0.05)
