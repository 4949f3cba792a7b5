"""Streams over SPDY/3.1, bare and inside a WebSocket, with a client that may break every rule."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage
from wsproto.events import Request as Handshake

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import PODS
from seamark.machinery.spdy import connection as spdy
from seamark.machinery.spdy.frames import Data, FrameWriter, GoAway, SynStream
from seamark.testing.scriptednode import ScriptedNode

AUTH = "Authorization: Bearer the-administrators-token\r\n"
POD_PATH = "/api/v1/namespaces/default/pods/p"
V4, V3, V1 = "v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io"


@pytest.fixture
async def node(api: Api, client: Client) -> ScriptedNode:
    made = ScriptedNode()
    object.__setattr__(api.core, "nodes", {"node1": made}.get)
    spec = {"nodeName": "node1", "containers": [{"name": "c", "image": "i"}]}
    await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    return made


class Peer:
    """The client's end: opens streams by name, collects what comes on each until it ends."""

    def __init__(self, connection: Any) -> None:
        self.raw = connection
        self.spdy = spdy.Connection(server=False, strict_windows=False)
        self.got: dict[int, bytes] = {}
        self.replied: set[int] = set()
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.gone = False

    async def upgrade(self, path: str, *protocols: str) -> Any:
        offered = "".join(f"X-Stream-Protocol-Version: {p}\r\n" for p in protocols)
        upgrade = f"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n{offered}"
        await self.raw.send(f"POST {POD_PATH}/{path} HTTP/1.1\r\nHost: x\r\n{AUTH}{upgrade}\r\n".encode())
        return await self.raw.head()

    async def send(self, data: bytes) -> None:
        await self.raw.send(data)

    async def receive(self) -> bytes:
        data: bytes = await self.raw.reader.read(1 << 16)
        return data

    async def flush(self) -> None:
        await self.send(self.spdy.take())

    async def open(self, kind: str, **headers: str) -> int:
        number = self.spdy.open((("streamtype", kind), *headers.items()))
        self.got[number] = b""
        await self.flush()
        return number

    async def write(self, number: int, data: bytes, *, fin: bool = False) -> None:
        self.spdy.send(number, data, fin=fin)
        await self.flush()

    async def read(self) -> bool:
        """One read; False at the end."""
        async with asyncio.timeout(10):
            data = await self.receive()
        for event in self.spdy.receive(data):
            match event:
                case spdy.DataReceived(number, piece):
                    self.got[number] += piece
                case spdy.StreamReplied(number, _):
                    self.replied.add(number)
                case spdy.StreamEnded(number):
                    self.ended.add(number)
                case spdy.StreamReset(number, status):
                    self.reset[number] = status
                case spdy.GoneAway():
                    self.gone = True
        return bool(data)

    async def until_ended(self, *numbers: int) -> None:
        while not set(numbers) <= self.ended | self.reset.keys():
            assert await self.read(), "the server closed"


class TunnelPeer(Peer):
    """The same inside a WebSocket, as kubectl ≥ 1.31 forwards ports."""

    async def upgrade(self, path: str, *protocols: str) -> Any:
        self.ws = WSConnection(ConnectionType.CLIENT)
        auth = [(b"Authorization", b"Bearer the-administrators-token")]
        names = [f"SPDY/3.1+{p}" for p in protocols]
        handshake = Handshake(host="x", target=f"{POD_PATH}/{path}", subprotocols=names, extra_headers=auth)
        await self.raw.send(self.ws.send(handshake))
        self.ws.receive_data(await self.raw.reader.readuntil(b"\r\n\r\n"))
        (event,) = self.ws.events()
        assert isinstance(event, AcceptConnection) and event.subprotocol == names[0]

    async def send(self, data: bytes) -> None:
        for at in range(0, len(data), 1000):  # the borders of messages mean nothing
            await self.raw.send(self.ws.send(BytesMessage(data[at : at + 1000])))

    async def receive(self) -> bytes:
        self.ws.receive_data(await super().receive() or None)
        return b"".join(bytes(e.data) for e in self.ws.events() if isinstance(e, BytesMessage))


@pytest.fixture
async def peer(node: ScriptedNode, serve: Any) -> Peer:
    _, connect = await serve()
    return Peer(await connect())


class TestExec:
    async def test_every_stream(self, peer: Peer) -> None:
        head = await peer.upgrade("exec?command=cat&stdin=1&stdout=1&stderr=1", V4, V3)
        assert (head.status, head.headers["upgrade"]) == (101, "SPDY/3.1")
        assert head.headers["x-stream-protocol-version"] == V4
        error, stdin = await peer.open("error"), await peer.open("stdin")
        out, err = await peer.open("stdout"), await peer.open("stderr")
        await peer.write(stdin, b"hello ")
        await peer.write(stdin, b"world", fin=True)
        await peer.until_ended(error, out, err)
        assert peer.replied == {error, stdin, out, err}
        assert (peer.got[out], peer.got[err]) == (b"hello world", b"")
        assert json.loads(peer.got[error]) == {"metadata": {}, "status": "Success"}
        await peer.read()
        assert peer.gone
        await peer.raw.close()

    @pytest.mark.parametrize(
        ("protocols", "chosen", "text"),
        [
            ((V4,), V4, b'"reason":"NonZeroExitCode"'),
            (("nosuch", V3), V3, b"command terminated with non-zero exit code: exit status 7"),
            ((f"{V1}",), V1, b"exit status 7"),
            ((), V1, b"exit status 7"),
        ],
    )
    async def test_the_outcome_by_version(
        self, peer: Peer, protocols: tuple[str, ...], chosen: str, text: bytes
    ) -> None:
        head = await peer.upgrade("exec?command=exit&command=7&stdout=1&stderr=1", *protocols)
        assert head.headers["x-stream-protocol-version"] == chosen
        error, out, err = await peer.open("error"), await peer.open("stdout"), await peer.open("stderr")
        await peer.until_ended(error, out, err)
        assert text in peer.got[error] and peer.got[err] == b"bye\n"
        assert (peer.got[error][:1] == b"{") == (chosen == V4)

    async def test_success_of_old_versions_is_silence(self, peer: Peer) -> None:
        await peer.upgrade("exec?command=big&stdout=1", V3)
        error, out = await peer.open("error"), await peer.open("stdout")
        await peer.until_ended(error, out)
        assert peer.got[error] == b"" and len(peer.got[out]) == 1_000_000

    async def test_terminal_sizes_in_pieces(self, peer: Peer) -> None:
        await peer.upgrade("exec?command=size&stdout=1&stderr=1&tty=1", V4)
        error, out, sizes = await peer.open("error"), await peer.open("stdout"), await peer.open("resize")
        for piece in (b"rubbish\n", b'{"Width":120,', b'"Height":40}\n{"Wid'):
            await peer.write(sizes, piece)
        await peer.until_ended(error, out)
        assert peer.got[out] == b"120x40"

    @pytest.mark.parametrize(("command", "text"), [("refuse", b"container c is not running"), ("crash", b"boom")])
    async def test_failures_come_on_the_error_stream(self, peer: Peer, command: str, text: bytes) -> None:
        await peer.upgrade(f"exec?command={command}&stdout=1", V4)
        error, out = await peer.open("error"), await peer.open("stdout")
        await peer.until_ended(error, out)
        assert text in peer.got[error]

    async def test_strange_streams_are_reset_and_the_session_goes_on(self, peer: Peer) -> None:
        await peer.upgrade("exec?command=big&stdout=1", V4)
        strange, error, again = await peer.open("stdin"), await peer.open("error"), await peer.open("error")
        out = await peer.open("stdout")
        await peer.until_ended(error, out)
        assert set(peer.reset) == {strange, again} and len(peer.got[out]) == 1_000_000

    async def test_a_client_that_leaves_ends_the_command(self, peer: Peer, node: ScriptedNode) -> None:
        await peer.upgrade("exec?command=sleep&stdout=1", V4)
        await peer.open("error")
        await peer.open("stdout")
        async with asyncio.timeout(5):
            await node.started.wait()
            await peer.raw.close()
            await node.cancelled.wait()

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"GET / HTTP/1.1\r\n\r\n" * 10, id="no-spdy"),
            pytest.param(struct.pack(">HHI", 0x8002, 6, 4) + b"\0\0\0\1", id="version-2"),
            pytest.param(FrameWriter().render(SynStream(2, ())), id="our-number"),
            pytest.param(FrameWriter().render(Data(0, b"x")), id="stream-0"),
            pytest.param(struct.pack(">HHI", 0x8003, 1, 0xFFFFFF), id="huge-control-frame"),
            pytest.param(FrameWriter().render(SynStream(1, (("x", "y" * 1_000_000),))), id="bomb"),
            pytest.param(struct.pack(">HHI", 0x8003, 2, 12) + b"\xff" * 12, id="no-zlib"),
        ],
    )
    async def test_wrong_frames_end_the_connection(self, peer: Peer, node: ScriptedNode, data: bytes) -> None:
        await peer.upgrade("exec?command=sleep&stdout=1", V4)
        if data[:2] == b"GE":
            data = b"\x80" + data
        await peer.send(data)
        async with asyncio.timeout(5):
            rest = await peer.raw.reader.read()
        assert rest.endswith(FrameWriter().render(GoAway(0, 1))[8:])

    async def test_no_common_protocol(self, peer: Peer) -> None:
        head = await peer.upgrade("exec?command=x&stdout=1", "v9.channel.k8s.io")
        assert head.status == 403 and V4 in head.headers["x-accepted-stream-protocol-versions"]


class TestAttach:
    async def test_until_it_ends(self, peer: Peer, node: ScriptedNode) -> None:
        await peer.upgrade("attach?stdin=1&stdout=1&stderr=1", V4)
        error, stdin = await peer.open("error"), await peer.open("stdin")
        out, err = await peer.open("stdout"), await peer.open("stderr")
        await peer.write(stdin, b"quit")
        await peer.until_ended(error, out, err)
        assert (peer.got[out], peer.got[err]) == (b"attached\nquit", b"warned\n")
        assert json.loads(peer.got[error])["status"] == "Success"

    async def test_a_client_that_leaves_is_let_go(self, peer: Peer, node: ScriptedNode) -> None:
        await peer.upgrade("attach?stdin=1&stdout=1", V4)
        for kind in ("error", "stdin"):
            await peer.open(kind)
        out = await peer.open("stdout")
        while peer.got[out] != b"attached\n":
            await peer.read()
        await peer.raw.close()
        async with asyncio.timeout(5):
            await node.cancelled.wait()


@pytest.fixture(params=[Peer, TunnelPeer], ids=["spdy", "websocket"])
async def forwarding(request: pytest.FixtureRequest, node: ScriptedNode, serve: Any) -> Peer:
    _, connect = await serve()
    peer: Peer = request.param(await connect())
    await peer.upgrade("portforward", "portforward.k8s.io")
    return peer


@pytest.fixture
async def echo(node: ScriptedNode) -> Any:
    """Port 80 says everything back at the end, 83 at once; 82 sends without end to whoever does not read."""
    stalled = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        writer.close()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"x" * 65536)
                async with asyncio.timeout(0.5):
                    await writer.drain()
        except TimeoutError:
            stalled.set()
            writer.transport.abort()
        except ConnectionError:
            pass

    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    served = {80: serve, 82: flood, 83: parrot}
    servers = [await asyncio.start_server(one, "127.0.0.1", 0) for one in served.values()]
    node.ports = {port: s.sockets[0].getsockname()[1] for port, s in zip(served, servers, strict=True)} | {81: 1}
    yield stalled
    for server in servers:
        server.close()
        await server.wait_closed()


async def pair(peer: Peer, port: str, request: str) -> tuple[int, int]:
    error = await peer.open("error", port=port, requestid=request)
    return error, await peer.open("data", port=port, requestid=request)


class TestPortForward:
    async def test_connections_side_by_side(self, forwarding: Peer, echo: Any) -> None:
        peer = forwarding
        pairs = [await pair(peer, "80", str(i)) for i in range(10)]
        for i, (_, data) in enumerate(pairs):
            await peer.write(data, b"%d" % i * 1000)
        for _, data in pairs:
            await peer.write(data, b"", fin=True)
        await peer.until_ended(*(n for both in pairs for n in both))
        for i, (error, data) in enumerate(pairs):
            assert (peer.got[data], peer.got[error]) == (b"<" + b"%d" % i * 1000 + b">", b"")

    async def test_a_refused_port_is_told_and_the_others_go_on(self, forwarding: Peer, echo: Any) -> None:
        peer = forwarding
        error, data = await pair(peer, "81", "0")
        await peer.until_ended(error, data)
        assert peer.got[error] == b"port 81: connection refused"
        error, data = await pair(peer, "80", "1")
        await peer.write(data, b"x", fin=True)
        await peer.until_ended(error, data)
        assert peer.got[data] == b"<x>"

    async def test_what_is_no_connection_is_reset(self, forwarding: Peer, echo: Any) -> None:
        peer = forwarding
        wrong = [
            await peer.open("data", port="0", requestid="1"),
            await peer.open("data", port="x", requestid="2"),
            await peer.open("data", requestid="3"),
            await peer.open("stdin", port="80", requestid="4"),
        ]
        first, second = (
            await peer.open("data", port="80", requestid="5"),
            await peer.open("data", port="80", requestid="5"),
        )
        await peer.until_ended(*wrong, second)
        assert set(peer.reset) == {*wrong, second} and first not in peer.ended

    async def test_a_client_that_does_not_read_holds_the_server_back(self, forwarding: Peer, echo: Any) -> None:
        """Nothing is gathered for it without bound."""
        await pair(forwarding, "82", "0")
        async with asyncio.timeout(10):
            await echo.wait()


async def test_ports_over_channels(node: ScriptedNode, serve: Any, echo: Any) -> None:
    """As Python's client forwards them."""
    _, connect = await serve()
    raw, ws = await connect(), WSConnection(ConnectionType.CLIENT)
    target = f"{POD_PATH}/portforward?ports=83,81"
    auth = [(b"Authorization", b"Bearer the-administrators-token")]
    await raw.send(ws.send(Handshake(host="x", target=target, subprotocols=[V4], extra_headers=auth)))
    got: dict[int, bytes] = dict.fromkeys(range(4), b"")
    async with asyncio.timeout(10):
        while b"refused" not in got[3] or b"hello" not in got[0]:
            ws.receive_data(await raw.reader.read(65536) or None)
            for event in ws.events():
                if isinstance(event, AcceptConnection):
                    await raw.send(ws.send(BytesMessage(b"\x00hello")))
                if isinstance(event, BytesMessage):
                    got[event.data[0]] += bytes(event.data[1:])
    assert got[1] == (83).to_bytes(2, "little") and got[0] == got[1] + b"hello"
    assert got[2] == (81).to_bytes(2, "little") and got[3] == got[2] + b"port 81: connection refused"


@pytest.mark.parametrize(
    ("query", "text"),
    [("", '"ports" is required'), ("ports=x", "'x' is no port"), ("ports=" + "1," * 100 + "1", "more than 100")],
)
async def test_wrong_ports_are_refused(node: ScriptedNode, serve: Any, query: str, text: str) -> None:
    _, connect = await serve()
    upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: {V4}\r\n"
    answer = await (await connect()).ask("GET", f"{POD_PATH}/portforward?{query}", headers=AUTH + upgrade)
    assert answer.status == 400 and text in json.loads(answer.body)["message"]
