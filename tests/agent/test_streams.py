"""Attach, port-forward and connections of a node, and kubelet's words for what cannot be."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from seamark.agent.connect import NodeConnector
from seamark.agent.podspec import Pod
from seamark.agent.streams import PodStreams
from seamark.linux.runtime import ContainerConfig, Image, SandboxConfig
from seamark.machinery.status import StatusError
from seamark.machinery.streams import AttachRequest, TerminalSize
from seamark.model import codec
from seamark.model.meta import ObjectKey
from seamark.testing.clock import FakeClock
from seamark.testing.fakeruntime import FakeRuntime

POD = {
    "metadata": {"name": "p", "namespace": "default", "uid": "u1"},
    "spec": {
        "containers": [
            {"name": "c", "image": "i"},
            {"name": "in", "image": "i", "stdin": True, "stdinOnce": True},
            {"name": "later", "image": "i"},
        ]
    },
}


class Typist:
    """An ExecIO that types ``typed`` and closes its input."""

    def __init__(self, *typed: bytes) -> None:
        self.typed = [*typed, b""]
        self.out = b""

    async def read_stdin(self) -> bytes:
        return self.typed.pop(0)

    async def write_stdout(self, data: bytes) -> None:
        self.out += data

    async def write_stderr(self, data: bytes) -> None: ...

    async def next_resize(self) -> TerminalSize:
        return TerminalSize(1, 1)


@pytest.fixture
async def runtime(tmp_path: Path) -> FakeRuntime:
    runtime = FakeRuntime(FakeClock())
    await runtime.create_sandbox(SandboxConfig("u1", "default", "p", "p"))
    for name in ("c", "in"):
        log = str(tmp_path / f"{name}.log")
        await runtime.start_container(ContainerConfig("u1", name, 0, Image("i", "", ()), ("x",), (), log))
    return runtime


@pytest.fixture
def streams(tmp_path: Path, runtime: FakeRuntime) -> PodStreams:
    pods = {ObjectKey("default", "p"): codec.convert(POD, Pod)}
    clock = FakeClock()
    return PodStreams(tmp_path, runtime=runtime, clock=clock, connect=NodeConnector(None), find=pods.get)


@pytest.fixture
async def port() -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_attach_gives_input_to_a_container_that_has_one(streams: PodStreams, runtime: FakeRuntime) -> None:
    io = Typist(b"hello")
    await streams.attach(AttachRequest("default", "p", "in", stdin=True), io)
    assert io.out == b"hello"
    io = Typist(b"hello")
    await streams.attach(AttachRequest("default", "p", "c", stdin=True), io)
    assert io.out == b"" and runtime.attached == [("in", True), ("c", False)]


@pytest.mark.parametrize(
    ("pod", "container", "text"),
    [
        ("nosuch", "c", 'pods "nosuch" not found'),
        ("p", "x", "container x is not valid for pod p"),
        ("p", "later", 'container not found ("later")'),
        ("p", "", "choose one of: [c in later]"),
    ],
)
async def test_what_cannot_be_attached(streams: PodStreams, pod: str, container: str, text: str) -> None:
    with pytest.raises(StatusError) as refused:
        await streams.attach(AttachRequest("default", pod, container), Typist())
    assert text in refused.value.message


async def test_connections_have_two_ends_that_end_alone(streams: PodStreams, port: int) -> None:
    dialled = await streams.dial("127.0.0.1", port, tls=False)
    for stream in (await streams.port_forward("default", "p", port), dialled):
        await stream.write(b"hello")
        await stream.end()
        assert await stream.read() == b"<hello>" and await stream.read() == b""
        stream.close()


async def test_a_refused_port_says_where(streams: PodStreams) -> None:
    with pytest.raises(StatusError) as refused:
        await streams.port_forward("default", "p", 1)
    text = "error forwarding port 1 to pod p_default, uid u1: failed to connect to localhost:1 inside the pod: "
    assert f"{text}dial tcp4 127.0.0.1:1: connect: connection refused" in refused.value.message
    with pytest.raises(OSError):
        await streams.dial("127.0.0.1", 1, tls=False)


async def test_tls_is_spoken_and_nobody_is_verified(streams: PodStreams) -> None:
    """As Kubernetes' proxy speaks to ``https:`` pods and services."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("somebody.else").configure_cert(tls)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.readline() + b">")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    stream = await streams.dial("127.0.0.1", server.sockets[0].getsockname()[1], tls=True)
    await stream.write(b"hello\n")
    await stream.end()
    assert await stream.read() == b"<hello\n>" and await stream.read() == b""
    stream.close()
    server.close()
    await server.wait_closed()
