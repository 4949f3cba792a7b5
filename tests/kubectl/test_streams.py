"""exec, attach, port-forward, cp and logs with every kubectl at hand, also those that speak SPDY (≤ 1.29, ≤ 1.30).

Further minors are taken from .tools/streams/kubectl-MINOR/kubectl
(``tools/fetch-kubectl 27 .tools/streams/kubectl-1.27``).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.machinery.gvr import PODS
from seamark.testing.scriptednode import ScriptedNode

TOOLS = Path(__file__).parent.parent.parent / ".tools"
BINARIES = [str(p) for p in sorted((*TOOLS.glob("kubectl-*/kubectl"), *TOOLS.glob("streams/kubectl-*/kubectl")))]
if not BINARIES and (found := shutil.which("kubectl")):
    BINARIES = [found]

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.parametrize(
        "kubectl", BINARIES or [None], ids=lambda b: Path(b or "missing").parent.name, indirect=True
    ),
]

POD = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {
        "nodeName": "node1",
        "containers": [
            {"name": "c", "image": "x", "stdin": True},
            {"name": "t", "image": "x", "stdin": True, "tty": True},
        ],
    },
}


@pytest.fixture
async def node(kubectl: Any) -> ScriptedNode:
    node = kubectl.nodes["node1"] = ScriptedNode()
    await kubectl.client.create(PODS, POD)
    running = {"status": {"phase": "Running"}}
    await kubectl.client.patch(PODS, "p", running, namespace="default", subresource="status")
    return node


@pytest.fixture
async def echo(node: ScriptedNode) -> AsyncIterator[list[bytes]]:
    """A server at port 80 of the pod; what it was sent. It answers when its peer has said all."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        got.append(data)
        writer.write(b"<" + data + b">")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    node.ports[80] = server.sockets[0].getsockname()[1]
    closed = await asyncio.start_server(serve, "127.0.0.1", 0)
    node.ports[81] = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    yield got
    server.close()
    await server.wait_closed()


async def test_exec(kubectl: Any, node: ScriptedNode) -> None:
    assert (await kubectl("exec", "-i", "p", "-c", "c", "--", "cat", stdin="hello")).out == "hello"
    failed = await kubectl("exec", "p", "-c", "c", "--", "exit", "7", fails=True)
    assert failed.code == 7 and "bye\n" in failed.err and "exit code 7" in failed.err
    assert len((await kubectl("exec", "p", "-c", "c", "--", "big")).out) == 1_000_000
    large = "x" * 3_000_000
    assert (await kubectl("exec", "-i", "p", "-c", "c", "--", "cat", stdin=large)).out == large
    refused = await kubectl("exec", "p", "-c", "c", "--", "refuse", fails=True)
    assert "container c is not running" in refused.err


async def test_a_killed_client_ends_the_command(kubectl: Any, node: ScriptedNode) -> None:
    process = await kubectl.start("exec", "-i", "p", "-c", "c", "--", "sleep")
    async with asyncio.timeout(20):
        await node.started.wait()
        process.kill()
        await node.cancelled.wait()
        await process.communicate()


async def test_attach(kubectl: Any, node: ScriptedNode) -> None:
    attached = await kubectl("attach", "p", "-c", "c", "-i", stdin="one\nquit\n")
    assert "attached\n" in attached.out and "one\nquit\n" in attached.out and "warned\n" in attached.err
    assert (node.attached[-1].stdin, node.attached[-1].tty) == (True, False)
    process = await kubectl.start("attach", "p", "-c", "c")
    async with asyncio.timeout(20):
        out, _ = await process.communicate()  # without -i there is no input: the scripted container ends
    assert b"attached\n" in out and not node.attached[-1].stdin


async def forward(kubectl: Any, *ports: str) -> tuple[asyncio.subprocess.Process, list[int]]:
    process = await kubectl.start("port-forward", "p", *ports)
    local: list[int] = []
    async with asyncio.timeout(20):
        while len(local) < len(ports):
            line = (await process.stdout.readline()).decode()
            assert line, (await process.communicate())[1]
            if match := re.match(r"Forwarding from 127.0.0.1:(\d+) ->", line):
                local.append(int(match[1]))
    return process, local


async def ask(port: int, data: bytes) -> bytes:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


async def test_port_forward(kubectl: Any, echo: list[bytes]) -> None:
    process, (port, closed) = await forward(kubectl, ":80", ":81")
    try:
        assert await ask(port, b"hello") == b"<hello>"
        large = b"x" * 2_000_000
        answers = await asyncio.gather(*(ask(port, large) for _ in range(5)))
        assert answers == [b"<" + large + b">"] * 5
        with contextlib.suppress(ConnectionResetError):  # kubectl closes without having read what it was sent
            assert await ask(closed, b"hello") == b""
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            _, err = await process.communicate()
    assert b"port 81: connection refused" in err


async def test_logs(kubectl: Any, node: ScriptedNode) -> None:
    node.more.set()
    assert (await kubectl("logs", "-f", "p", "-c", "c")).out == "one\ntwo\n"
