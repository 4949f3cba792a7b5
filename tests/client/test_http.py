"""The HTTP transport against real sockets on loopback: framing, keep-alive, streams, TLS and what goes wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.http import Credentials, HttpTransport
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
POD = b'{"kind":"Pod","metadata":{"name":"a"}}'
GET = Request("GET", "/api/v1/pods")


class Server:
    """Says ``talk`` to each connection; ``heads`` and ``bodies`` are what it was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.talk: Talk = self.answer_all
        self.answers: list[bytes] = []
        self.url = ""
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        lengths = [line for line in head.split("\r\n") if line.startswith("content-length:")]
        self.bodies.append(await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b"")

    async def answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.read(reader)
            writer.write(self.answers.pop(0))


def whole(body: bytes = POD, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def started(server: Server, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    return listening


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    listening = await started(found)
    yield found
    listening.close()


@pytest.fixture
async def transport(server: Server) -> AsyncIterator[HttpTransport]:
    found = HttpTransport(server.url, timeout=5)
    yield found
    await found.close()


async def test_requests_share_one_connection_and_carry_their_body(server: Server, transport: HttpTransport) -> None:
    server.answers = [whole(), whole(b"{}", "201 Created")]
    client = Client(transport, agent="test")
    assert (await client.get(PODS, "a", namespace="default"))["metadata"] == {"name": "a"}
    await client.create(PODS, {"metadata": {"name": "é"}}, namespace="default")
    assert server.connections == 1
    assert server.heads[0].startswith("GET /api/v1/namespaces/default/pods/a HTTP/1.1\r\nhost: 127.0.0.1:")
    assert "user-agent: test" in server.heads[0]
    assert server.bodies[1] == '{"metadata":{"name":"é"}}'.encode()


async def test_query_is_escaped(server: Server, transport: HttpTransport) -> None:
    server.answers = [whole(b'{"items":[]}')]
    await Client(transport).list(PODS, query={"labelSelector": "a in (b,c)", "fieldSelector": "x!=y"})
    assert server.heads[0].startswith("GET /api/v1/pods?labelSelector=a+in+%28b%2Cc%29&fieldSelector=x%21%3Dy HTTP/1.1")


async def test_failure_is_the_servers_status(server: Server, transport: HttpTransport) -> None:
    body = b'{"kind":"Status","code":404,"reason":"NotFound","message":"pods \\"a\\" not found"}'
    server.answers = [whole(body, "404 Not Found")]
    with pytest.raises(StatusError, match='pods "a" not found') as failure:
        await Client(transport).get(PODS, "a", namespace="default")
    assert (failure.value.code, failure.value.reason) == (404, "NotFound")


async def test_warnings_come_out_plain(server: Server, transport: HttpTransport) -> None:
    server.answers = [whole(POD, "200 OK", 'Warning: 299 - "v1 Endpoints is \\"old\\""', 'Warning: 299 - "two"')]
    assert (await transport(GET)).warnings == ('v1 Endpoints is "old"', "two")


async def test_watch_gives_events_as_they_come_and_the_connection_back(
    server: Server, transport: HttpTransport
) -> None:
    more: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while data := await more.get():
            writer.write(chunk(data))
        writer.write(chunk(b""))
        await server.read(reader)
        writer.write(whole())

    server.talk = talk
    client = Client(transport)
    events = client.watch(PODS)
    more.put_nowait(b'{"type":"ADDED","obj')
    more.put_nowait(b'ect":{}}\n')
    assert (await anext(events)).type == "ADDED"
    more.put_nowait(b'{"type":"DELETED","object":{}}\n')
    assert (await anext(events)).type == "DELETED"
    more.put_nowait(b"")
    assert [event async for event in events] == []
    await client.get(PODS, "a", namespace="default")
    assert server.connections == 1


async def test_abandoned_watch_closes_its_connection(server: Server, transport: HttpTransport) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b'{"type":"ADDED","object":{}}\n')
        )
        assert await reader.read() == b""

    server.talk = talk
    events: Any = Client(transport).watch(PODS)
    await anext(events)
    await events.aclose()
    async with asyncio.timeout(5):
        await server.closed.wait()


async def test_stream_cut_in_the_middle_is_an_error(server: Server, transport: HttpTransport) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b'{"type":"ADDED","object":{}}\n')
        )

    server.talk = talk
    events = Client(transport).watch(PODS)
    assert (await anext(events)).type == "ADDED"
    with pytest.raises(TransportError, match="closed the connection"):
        await anext(events)


async def test_slow_reader_stops_the_socket(server: Server, transport: HttpTransport) -> None:
    line = b'{"type":"ADDED","object":"' + b"x" * 65536 + b'"}\n'
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(400):
            writer.write(chunk(line))
            await writer.drain()
            sent += 1
        writer.write(chunk(b""))

    server.talk = talk
    events = Client(transport).watch(PODS)
    await anext(events)
    for _ in range(2000):
        await asyncio.sleep(0)
    assert sent < 400, "26 MB must not fit into the buffers of a reader that does not read"
    assert len([event async for event in events]) == 399


async def test_get_on_a_connection_the_server_just_closed_is_asked_again(
    server: Server, transport: HttpTransport
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(whole())
        if server.connections == 1:
            await server.read(reader)  # takes the second request and hangs up
        else:
            await server.read(reader)

    server.talk = talk
    await transport(GET)
    assert (await transport(GET)).body == POD
    assert server.connections == 2


async def test_write_is_never_sent_twice(server: Server, transport: HttpTransport) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(whole())
        await server.read(reader)

    server.talk = talk
    await transport(GET)
    with pytest.raises(TransportError, match="closed the connection"):
        await transport(Request("POST", "/api/v1/pods", body=b"{}"))
    assert [head.split(" ")[0] for head in server.heads] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9\r\n", "does not speak HTTP", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "closed the connection", id="short-body"),
        pytest.param(b"", "closed the connection", id="nothing"),
    ],
)
async def test_bad_answer_is_a_transport_error(
    server: Server, transport: HttpTransport, answer: bytes, says: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(answer)

    server.talk = talk
    with pytest.raises(TransportError, match=says):
        await transport(GET)


async def test_body_without_length_ends_with_the_connection(server: Server, transport: HttpTransport) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + POD)

    server.talk = talk
    assert (await transport(GET)).body == POD


async def test_nobody_listening_and_nobody_answering_are_transport_errors(server: Server) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server.talk = talk
    silent = HttpTransport(server.url, timeout=0.05)
    with pytest.raises(TransportError, match=r"no answer within 0\.05 s"):
        await silent(GET)
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1"):
        await HttpTransport("http://127.0.0.1:1")(GET)


async def test_header_injection_is_refused(server: Server, transport: HttpTransport) -> None:
    with pytest.raises(ValueError, match="line break"):
        await transport(Request("GET", "/x", headers={"a": "b\r\nc: d"}))
    with pytest.raises(ValueError, match="line break"):
        await transport(Request("GET", "/x\ny"))


async def test_token_file_is_read_again_for_every_request(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    server.answers = [whole(), whole()]
    transport = HttpTransport(server.url, credentials=Credentials(token_file=token))
    await transport(GET)
    token.write_text("two\n")
    await transport(GET)
    assert ["authorization: Bearer one" in server.heads[0], "authorization: Bearer two" in server.heads[1]] == [
        True
    ] * 2
    token.unlink()
    with pytest.raises(TransportError, match="token file"):
        await transport(GET)
    await transport.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    found = Server()
    listening = await started(found, context)
    yield found
    listening.close()


async def test_tls_with_a_client_certificate(secure: Server, authority: trustme.CA) -> None:
    issued = authority.issue_cert("admin")
    who = Credentials(certificate=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes())
    secure.answers = [whole()]
    transport = HttpTransport(secure.url, ca=authority.cert_pem.bytes(), credentials=who)
    assert (await transport(GET)).body == POD
    await transport.close()


async def test_foreign_authority_is_refused_unless_told_otherwise(secure: Server, authority: trustme.CA) -> None:
    issued = authority.issue_cert("admin")
    who = Credentials(certificate=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes())
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        await HttpTransport(secure.url, ca=trustme.CA().cert_pem.bytes(), credentials=who)(GET)
    with pytest.raises(TransportError, match="Hostname mismatch"):
        await HttpTransport(
            secure.url, ca=authority.cert_pem.bytes(), credentials=who, server_name="kubernetes.default"
        )(GET)
    secure.answers = [whole()]
    transport = HttpTransport(secure.url, credentials=who, insecure=True)
    assert (await transport(GET)).body == POD
    await transport.close()


def test_unreadable_certificate_and_address_are_named() -> None:
    with pytest.raises(ValueError, match="client certificate and key"):
        HttpTransport("https://127.0.0.1:1", credentials=Credentials(certificate=b"no", key=b"no"))
    with pytest.raises(ValueError, match="base_url"):
        HttpTransport("127.0.0.1:6443")
