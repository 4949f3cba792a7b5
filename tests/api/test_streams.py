"""Logs and exec against a scripted node, over real sockets and WebSockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Handshake

from seamark.api.app import Api
from seamark.api.streaming.command import parse_size
from seamark.client.client import Client
from seamark.machinery.gvr import PODS
from seamark.machinery.streams import LogRequest, TerminalSize
from seamark.testing.scriptednode import ScriptedNode

AUTH = "Authorization: Bearer the-administrators-token\r\n"
POD_PATH = "/api/v1/namespaces/default/pods/p"


@pytest.fixture
async def node(api: Api, client: Client) -> ScriptedNode:
    made = ScriptedNode()
    object.__setattr__(api.core, "nodes", {"node1": made}.get)
    spec = {"nodeName": "node1", "containers": [{"name": "c", "image": "i"}]}
    await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    two = {"nodeName": "node9", "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}
    await client.create(PODS, {"metadata": {"name": "two", "namespace": "default"}, "spec": two})
    bare = {"containers": [{"name": "c", "image": "i"}]}
    await client.create(PODS, {"metadata": {"name": "bare", "namespace": "default"}, "spec": bare})
    return made


class TestLogs:
    async def test_whole_and_options(self, node: ScriptedNode, serve: Any) -> None:
        _, connect = await serve()
        query = "tailLines=5&sinceSeconds=9&limitBytes=100&timestamps=true"
        answer = await (await connect()).ask("GET", f"{POD_PATH}/log?{query}", headers=AUTH)
        assert (answer.status, answer.body) == (200, b"one\n")
        assert answer.headers["content-type"] == "text/plain"
        assert node.logged == [
            LogRequest("default", "p", "c", timestamps=True, tail_lines=5, since_seconds=9, limit_bytes=100)
        ]

    async def test_follow(self, node: ScriptedNode, serve: Any) -> None:
        _, connect = await serve()
        connection = await connect()
        await connection.send(f"GET {POD_PATH}/log?follow=true HTTP/1.1\r\n{AUTH}\r\n".encode())
        assert (await connection.head()).status == 200
        assert await connection.chunk() == b"one\n"
        node.more.set()
        assert await connection.chunk() == b"two\n"
        assert await connection.chunk() == b""

    @pytest.mark.parametrize("protocols", [[], ["binary.k8s.io"]])
    async def test_over_a_websocket(self, node: ScriptedNode, serve: Any, protocols: list[str]) -> None:
        _, connect = await serve()
        ex = Exec(await connect())
        assert isinstance(await ex.open("follow=true", protocols=protocols, what="log"), AcceptConnection)
        first = await ex.next()
        assert isinstance(first, BytesMessage) and first.data == b"one\n"
        node.more.set()
        assert await ex.rest() == {ord("t"): b"wo\n"}

    @pytest.mark.parametrize(
        ("path", "status", "text"),
        [
            ("p/log?previous=true", 400, "previous terminated container"),
            ("p/log?container=x", 400, "container x is not valid for pod p"),
            ("p/log?tailLines=-1", 422, "tailLines"),
            ("p/log?sinceSeconds=x", 422, "sinceSeconds"),
            ("p/log?sinceTime=yesterday", 422, "sinceTime"),
            ("two/log", 400, "choose one of: [a b]"),
            ("two/log?container=a", 503, 'node "node9" is not connected'),
            ("nosuch/log", 404, 'pods "nosuch" not found'),
            ("bare/log", 204, ""),
        ],
    )
    async def test_refusals(self, node: ScriptedNode, serve: Any, path: str, status: int, text: str) -> None:
        _, connect = await serve()
        answer = await (await connect()).ask("GET", f"/api/v1/namespaces/default/pods/{path}", headers=AUTH)
        assert answer.status == status
        assert text in (json.loads(answer.body)["message"] if answer.body else "")


class Exec:
    """The client's end: handshake, then channels."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    async def open(self, query: str, *, protocols: list[str], pod: str = "p", what: str = "exec") -> Event:
        handshake = Handshake(
            host="x",
            target=f"/api/v1/namespaces/default/pods/{pod}/{what}?{query}",
            subprotocols=protocols,
            extra_headers=[(b"Authorization", b"Bearer the-administrators-token")],
        )
        await self.connection.send(self.ws.send(handshake))
        return await self.next()

    async def next(self) -> Event:
        async with asyncio.timeout(5):
            while not self.events:
                data = await self.connection.reader.read(65536)
                self.ws.receive_data(data or None)
                self.events += list(self.ws.events())
        return self.events.pop(0)

    async def send(self, channel: int, data: bytes) -> None:
        await self.connection.send(self.ws.send(BytesMessage(bytes([channel]) + data)))

    async def rest(self) -> dict[int, bytes]:
        """Everything until the server closes, by channel."""
        found: dict[int, bytes] = {}
        part = b""
        while not isinstance(event := await self.next(), CloseConnection):
            assert isinstance(event, BytesMessage), event
            part += event.data
            if event.message_finished:
                found[part[0]] = found.get(part[0], b"") + part[1:]
                part = b""
        return found


V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


@pytest.fixture
async def ex(node: ScriptedNode, serve: Any) -> Exec:
    _, connect = await serve()
    return Exec(await connect())


class TestExec:
    async def test_stdin_to_stdout_and_its_end(self, ex: Exec) -> None:
        accepted = await ex.open("command=cat&stdin=true&stdout=true", protocols=[V5])
        assert isinstance(accepted, AcceptConnection) and accepted.subprotocol == V5
        await ex.send(0, b"hello ")
        await ex.send(0, b"world")
        await ex.send(255, b"\x00")
        found = await ex.rest()
        assert found[1] == b"hello world"
        assert json.loads(found[3]) == {"metadata": {}, "status": "Success"}

    @pytest.mark.parametrize("protocol", [V5, V4])
    async def test_the_exit_code_is_a_status(self, ex: Exec, protocol: str) -> None:
        await ex.open("command=exit&command=7&stdout=true&stderr=true", protocols=["channel.k8s.io", protocol])
        found = await ex.rest()
        status = json.loads(found[3])
        assert found[2] == b"bye\n" and status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]

    async def test_before_v4_the_outcome_is_a_text(self, ex: Exec) -> None:
        """As Kubernetes' own suite still asks it."""
        await ex.open("command=exit&command=7&stdout=true&stderr=true", protocols=["channel.k8s.io"])
        assert await ex.rest() == {2: b"bye\n", 3: b"command terminated with non-zero exit code: exit status 7"}

    async def test_without_a_subprotocol(self, ex: Exec) -> None:
        accepted = await ex.open("command=big&stdout=true", protocols=[])
        assert isinstance(accepted, AcceptConnection) and not accepted.subprotocol
        assert await ex.rest() == {1: b"x" * 1_000_000}

    async def test_channels_in_base64(self, ex: Exec) -> None:
        """As consoles in a browser speak."""
        await ex.open("command=cat&stdin=true&stdout=true", protocols=["base64.channel.k8s.io"])
        for text in ("0aGVs", "0bG8="):
            await ex.connection.send(ex.ws.send(TextMessage(text)))
        shown = ""
        while shown.count("1") < 2 and "bG8=" not in shown:
            event = await ex.next()
            assert isinstance(event, TextMessage)
            shown += event.data
        assert shown in ("1aGVs1bG8=", "1aGVsbG8=")
        await ex.connection.send(ex.ws.send(TextMessage("no channel")))
        closed = await ex.next()
        assert isinstance(closed, CloseConnection) and closed.code == 1007

    async def test_terminal_sizes(self, ex: Exec) -> None:
        await ex.open("command=size&stdout=true&tty=true", protocols=[V5])
        await ex.send(4, b"rubbish")
        await ex.send(4, b'{"Width":120,"Height":40}')
        assert (await ex.rest())[1] == b"120x40"

    async def test_much_output(self, ex: Exec) -> None:
        await ex.open("command=big&stdout=true", protocols=[V5])
        assert (await ex.rest())[1] == b"x" * 1_000_000

    @pytest.mark.parametrize(("command", "text"), [("refuse", "container c is not running"), ("crash", "boom")])
    async def test_failures_come_on_the_error_channel(self, ex: Exec, command: str, text: str) -> None:
        await ex.open(f"command={command}&stdout=true", protocols=[V5])
        status = json.loads((await ex.rest())[3])
        assert status["status"] == "Failure" and text in status["message"]

    async def test_a_client_that_leaves_ends_the_command(self, ex: Exec, node: ScriptedNode) -> None:
        await ex.open("command=sleep&stdout=true", protocols=[V5])
        await ex.connection.close()
        async with asyncio.timeout(5):
            await node.cancelled.wait()

    async def test_pings_are_answered(self, ex: Exec) -> None:
        await ex.open("command=sleep&stdout=true", protocols=[V5])
        await ex.connection.send(ex.ws.send(Ping(b"x")))
        assert isinstance(await ex.next(), Pong)

    async def test_input_that_nobody_reads_holds_its_writer_back(self, ex: Exec) -> None:
        await ex.open("command=sleep&stdin=true&stdout=true", protocols=[V5])
        message = ex.ws.send(BytesMessage(b"\0" + b"x" * (3 << 20)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                for _ in range(100):
                    await ex.connection.send(message)
        ex.connection.writer.transport.abort()

    async def test_text_is_its_bytes(self, ex: Exec) -> None:
        """Python's client types so."""
        await ex.open("command=cat&stdin=true&stdout=true", protocols=[V5])
        await ex.connection.send(ex.ws.send(TextMessage("\0hällo")))
        await ex.send(255, b"\x00")
        assert (await ex.rest())[1] == "hällo".encode()

    @pytest.mark.parametrize(
        ("pod", "query", "protocols", "status", "text"),
        [
            pytest.param("p", "command=cat&stdout=true", ["v1.x"], 400, "subprotocols", id="protocol"),
            pytest.param("p", "stdout=true", [V5], 400, "at least 1 command", id="no-command"),
            pytest.param("p", "command=cat", [V5], 400, "at least 1 of stdin", id="no-stream"),
            pytest.param("p", "command=cat&stdout=1&container=x", [V5], 400, "not valid for pod", id="container"),
            pytest.param("bare", "command=cat&stdout=1", [V5], 400, "does not have a host assigned", id="unbound"),
            pytest.param("nosuch", "command=cat&stdout=1", [V5], 404, "not found", id="missing"),
        ],
    )
    async def test_refusals_come_before_the_upgrade(
        self, ex: Exec, pod: str, query: str, protocols: list[str], status: int, text: str
    ) -> None:
        rejected = await ex.open(query, protocols=protocols, pod=pod)
        assert isinstance(rejected, RejectConnection) and rejected.status_code == status
        body = await ex.next()
        assert isinstance(body, RejectData) and text in json.loads(bytes(body.data))["message"]

    async def test_without_an_upgrade(self, node: ScriptedNode, serve: Any) -> None:
        _, connect = await serve()
        for name in ("exec?command=x&stdout=1", "attach?stdout=1", "portforward"):
            answer = await (await connect()).ask("GET", f"{POD_PATH}/{name}", headers=AUTH)
            assert (answer.status, json.loads(answer.body)["message"]) == (400, "Upgrade request required")
            other = "Connection: Upgrade\r\nUpgrade: h2c\r\n"
            answer = await (await connect()).ask("POST", f"{POD_PATH}/{name}", headers=AUTH + other)
            assert (answer.status, json.loads(answer.body)["message"]) == (400, "Upgrade request required")
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
        answer = await (await connect()).ask("GET", f"{POD_PATH}/exec?command=x&stdout=1", headers=upgrade)
        assert answer.status == 403


def test_sizes_fit_a_terminal() -> None:
    assert parse_size(b'{"Width":1,"Height":2}') == TerminalSize(1, 2)
    for wrong in (b"", b"[]", b'{"Width":0,"Height":1}', b'{"Width":70000,"Height":1}', b'{"Width":"x","Height":1}'):
        assert parse_size(wrong) is None
