"""Logs, exec and attach through a node, with kubelet's words for what is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seamark.machinery.status import StatusError
from seamark.machinery.streams import ExecRequest, LogRequest, TerminalSize
from seamark.testing.fakeruntime import Behaviour

Obj = dict[str, Any]
StatusOf = Callable[..., Obj]


class _IO:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.out = b""
        self.err = b""

    async def read_stdin(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    async def write_stdout(self, data: bytes) -> None:
        self.out += data

    async def write_stderr(self, data: bytes) -> None:
        self.err += data

    async def next_resize(self) -> TerminalSize:
        await asyncio.Event().wait()
        raise AssertionError


class TestStreams:
    async def test_exec(self, node: Any) -> None:
        node.runtime.answers["id",] = (0, b"root")
        await node.create()
        await node.until_running()
        io = _IO()
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("id",)), io) == 0
        assert io.out == b"root"
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("nope",)), io) == 127
        io = _IO(b"a", b"b")
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("cat",), stdin=True), io) == 0
        assert io.out == b"ab"

    async def test_follow_ends_with_the_container(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(output=("one", "two"))
        made = await node.create(restartPolicy="Never")
        await node.until_running()
        got: list[bytes] = []

        async def follow() -> None:
            got.extend([b""])
            async for chunk in node.agent.logs(LogRequest("default", "web", "web", follow=True)):
                got[0] += chunk

        task = asyncio.create_task(follow())
        await node.wait(lambda: b"".join(got) == b"one\ntwo\n")
        log = node.state_dir / "pods" / made["metadata"]["uid"] / "logs/web/0.log"
        with log.open("a") as file:
            file.write("2023-11-14T22:13:21Z stderr P thr\n2023-11-14T22:13:21Z stderr F ee\n")
        await node.advance(0.1)
        assert b"".join(got) == b"one\ntwo\nthree\n"
        node.runtime.finish(made["metadata"]["uid"], "web", 0)
        await node.until(lambda p: p["status"]["phase"] == "Succeeded")
        await node.advance(0.2)
        await asyncio.wait_for(task, 5)

    async def test_errors_in_kubelets_words(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(start_delay=1000)
        await node.create()
        await node.until(lambda pod: pod["status"].get("podIP"))
        with pytest.raises(StatusError, match='container "web" in pod "web" is waiting to start: ContainerCreating'):
            node.agent.logs(LogRequest("default", "web", "web"))
        with pytest.raises(StatusError, match="container nosuch is not valid for pod web"):
            node.agent.logs(LogRequest("default", "web", "nosuch"))
        with pytest.raises(StatusError, match='pods "nosuch" not found'):
            node.agent.logs(LogRequest("default", "nosuch", ""))
        with pytest.raises(StatusError, match=r'container not found \("web"\)'):
            await node.agent.exec(ExecRequest("default", "web", "web", ("id",)), _IO())

    async def test_previous(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.behaviours["web"] = Behaviour(output=("first life",))
        made = await node.create()
        await node.until_running()
        with pytest.raises(StatusError, match='previous terminated container "web" in pod "web" not found'):
            node.agent.logs(LogRequest("default", "web", "web", previous=True))
        node.runtime.behaviours["web"] = Behaviour(output=("second life",))
        node.runtime.finish(made["metadata"]["uid"], "web", 1)
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        for previous, text in ((True, b"first life\n"), (False, b"second life\n")):
            request = LogRequest("default", "web", "web", previous=previous)
            assert b"".join([c async for c in node.agent.logs(request)]) == text
