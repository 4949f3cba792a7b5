"""Attach to real containers, and connections into their network namespace."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from seamark.linux.runtime import RuntimeFault
from seamark.machinery.streams import TerminalSize

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Client, Node

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

ECHO = ("sh", "-c", "echo ready; while read line; do echo got $line; echo err $line >&2; done; echo end; exit 3")


def attach(node: Node, client: Client, *, stdin: bool = True, once: bool = False) -> asyncio.Task[None]:
    return asyncio.create_task(node.runtime.attach(node.uid(1), "main", io=client, stdin=stdin, once=once))


async def test_stdin_once_ends_with_its_client(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, *ECHO, stdin=True, stdin_once=True))
    io = client(b"one\n", b"two\n")
    async with asyncio.timeout(20):
        await attach(node, io, once=True)
    assert (await node.ended(1)).exit_code == 3
    assert io.out.endswith(b"got one\ngot two\nend\n") and io.err == b"err one\nerr two\n"
    assert "stdout F got two" in node.log(1) and "stderr F err two" in node.log(1)


async def test_a_client_that_leaves_leaves_the_container_and_its_input(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, *ECHO, stdin=True))
    first, watcher = client(b"one\n", closes=False), client()
    async with asyncio.timeout(20):
        leaving, watching = attach(node, first), attach(node, watcher, stdin=False)
        await first.shown(b"got one\n")
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        # its input has ended too, but it is not the container's last: the client is let go, the container waits
        await attach(node, client(b"two\n"))
        await watcher.shown(b"got two\n")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    state = await node.runtime.state(node.uid(1))
    assert state is not None and state.containers[0].status == "running"


async def test_stdin_once_is_over_when_the_first_client_is_gone(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, *ECHO, stdin=True, stdin_once=True))
    first = client(b"one\n", closes=False)
    async with asyncio.timeout(20):
        task = attach(node, first, once=True)
        await first.shown(b"got one\n")
        await node.runtime.close()  # as if this process had been killed
        node.runtime = node.new_runtime()
        assert (await node.ended(1)).exit_code == 3
        with pytest.raises((RuntimeFault, ConnectionError)):
            await attach(node, client(), once=True)
        await asyncio.gather(task, return_exceptions=True)


async def test_a_terminal(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    config = node.container(1, "sh", "-c", "while read line; do stty size; done", tty=True, stdin=True)
    await node.runtime.start_container(config)
    io = client(b"\n", closes=False)
    io.sizes.put_nowait(TerminalSize(123, 45))
    async with asyncio.timeout(20):
        task = attach(node, io)
        await io.shown(b"45 123")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        again = client(b"\n", b"\x04")  # the end of input, as a person types it
        await attach(node, again)
    assert b"45 123" in again.out
    assert (await node.ended(1)).exit_code == 0


async def test_a_slow_reader_gets_every_byte(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    count = 3_000_000
    script = f"read go; head -c {count} /dev/zero | tr '\\0' x"
    await node.runtime.start_container(node.container(1, "sh", "-c", script, stdin=True))

    class Slow(client):  # type: ignore[misc,valid-type]
        async def write_stdout(self, data: bytes) -> None:
            await asyncio.sleep(0.001)
            await super().write_stdout(data)

    io = Slow(b"go\n", closes=False)
    async with asyncio.timeout(40):
        await attach(node, io)
    assert len(io.out) == count


async def test_what_does_not_run_cannot_be_attached(node: Node, client: type[Client]) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    with pytest.raises(RuntimeFault, match="not running"):
        await attach(node, client())


async def test_connections_go_to_the_pods_own_loopback(node: Node) -> None:
    server = (
        "import socket; s = socket.create_server(('127.0.0.1', 8080)); "
        "c, _ = s.accept(); c.sendall(b'hi ' + c.recv(9)); c.close()"
    )
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "python3", "-c", server))
    async with asyncio.timeout(20):
        while True:
            try:
                sock = await node.runtime.connect(node.uid(1), 8080)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"there")
        assert await reader.read() == b"hi there"
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await node.runtime.connect(node.uid(1), 81)
