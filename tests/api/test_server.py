"""The HTTP server, byte by byte: keep-alive, chunks, limits, TLS and who one is."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.http1 import Limits
from seamark.api.server import serve_api, server_tls
from seamark.client.client import Client
from seamark.machinery.gvr import CONFIGMAPS

AUTH = "Authorization: Bearer the-administrators-token\r\n"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, size: int = 0) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"k": "x" * size}}


async def eventually(holds: Callable[[], bool]) -> None:
    """Real sockets need real, if little, time."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


async def test_keep_alive_and_pipelining(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    for _ in range(2):
        assert (await connection.ask("GET", "/healthz")).body == b"ok"
    await connection.send(b"GET /healthz HTTP/1.1\r\n\r\nGET /version HTTP/1.1\r\n\r\nGET /livez HTTP/1.1\r\n\r\n")
    answers = [await connection.answer() for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 200]
    assert b"+seamark" in answers[1].body
    assert answers[0].headers["audit-id"] != answers[2].headers["audit-id"]


async def test_answers_do_not_wait_for_acknowledgements(api: Api) -> None:
    """Of a watch, each event is sent at once: on any loop, whatever the socket was made with."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = await serve_api(api, sockets=[listener], tls=None, authenticate=Authenticator(api.core))
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await server.close()


async def test_bytes_one_by_one(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    body = json.dumps(config_map("a")).encode()
    text = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n".encode() + body
    for byte in text:
        await connection.send(bytes([byte]))
    assert (await connection.answer()).status == 201


@pytest.mark.parametrize(
    ("request_head", "keeps"),
    [
        pytest.param("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", False, id="close"),
        pytest.param("GET /healthz HTTP/1.0\r\n\r\n", False, id="http-1.0"),
        pytest.param("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True, id="http-1.0-keep-alive"),
    ],
)
async def test_closing(serve: Any, request_head: str, keeps: bool) -> None:
    _, connect = await serve()
    connection = await connect()
    await connection.send(request_head.encode())
    assert (await connection.answer()).status == 200
    if keeps:
        assert (await connection.ask("GET", "/healthz")).status == 200
    else:
        assert await connection.ended()


async def test_expect_continue(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    body = json.dumps(config_map("a")).encode()
    head = f"POST {CONFIG_MAPS} HTTP/1.1\r\n{AUTH}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    await connection.send(head.encode())
    assert (await connection.head()).status == 100
    await connection.send(body)
    assert (await connection.answer()).status == 201


async def test_chunked_body(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    body = json.dumps(config_map("a")).encode()
    await connection.send(f"POST {CONFIG_MAPS} HTTP/1.1\r\n{AUTH}Transfer-Encoding: chunked\r\n\r\n".encode())
    for part in (body[:10], body[10:]):
        await connection.send(b"%x\r\n%b\r\n" % (len(part), part))
    await connection.send(b"0\r\n\r\n")
    assert (await connection.answer()).status == 201


class TestLimits:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n", 413, id="length"),
            pytest.param(
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4c4b40\r\n" + b"x" * 4000, 413, id="chunks"
            ),
            pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, id="header"),
            pytest.param(b"GET /" + b"x" * 9000, 431, id="endless-url"),
            pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000, 431, id="many-headers"),
            pytest.param(b"\x16\x03\x01 this is TLS\r\n\r\n", 400, id="tls-to-plain"),
            pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, id="two-lengths"),
            pytest.param(
                b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400,
                id="smuggle",
            ),
        ],
    )
    async def test_too_much_or_malformed_ends_the_connection(self, serve: Any, data: bytes, status: int) -> None:
        _, connect = await serve(limits=Limits(body=1000, head=8000))
        connection = await connect()
        await connection.send(data)
        answer = await connection.answer()
        assert answer.status == status
        assert json.loads(answer.body)["kind"] == "Status"
        assert await connection.ended()

    async def test_slow_head_body_and_idle(self, serve: Any) -> None:
        _, connect = await serve(limits=Limits(head_time=0.4, body_time=0.4, idle_time=0.4))
        idle = await connect()
        assert (await idle.ask("GET", "/healthz")).status == 200
        head, body = await connect(), await connect()
        await head.send(b"GET / HTT")
        await body.send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        assert (await head.answer()).status == 408
        assert (await body.answer()).status == 408
        assert await idle.ended()

    async def test_a_reader_that_stops_is_dropped(self, serve: Any, client: Client) -> None:
        server, connect = await serve(limits=Limits(write_time=0.1))
        for name in range(40):
            await client.create(CONFIGMAPS, config_map(f"c{name}", 500_000))
        connection = await connect()
        await connection.send(f"GET {CONFIG_MAPS}?watch=1 HTTP/1.1\r\n{AUTH}\r\n".encode())
        await eventually(lambda: not server._connections)


async def test_large_lists_are_compressed_for_those_who_take_it(serve: Any, client: Client) -> None:
    _, connect = await serve()
    await client.create(CONFIGMAPS, config_map("big", 200_000))
    connection = await connect()
    plain = await connection.ask("GET", CONFIG_MAPS, headers=AUTH)
    packed = await connection.ask("GET", CONFIG_MAPS, headers=AUTH + "Accept-Encoding: gzip\r\n")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < 10_000
    assert gzip.decompress(packed.body) == plain.body


class TestWatch:
    async def test_head_comes_before_anything_happens(self, serve: Any, api: Api, client: Client) -> None:
        _, connect = await serve()
        connection = await connect()
        now = await api.core.store.revision()
        await connection.send(f"GET {CONFIG_MAPS}?watch=1&resourceVersion={now} HTTP/1.1\r\n{AUTH}\r\n".encode())
        head = await connection.head()
        assert (head.status, head.headers["content-type"]) == (200, "application/json")
        await client.create(CONFIGMAPS, config_map("a"))
        assert json.loads(await connection.chunk())["type"] == "ADDED"

    async def test_a_client_that_leaves_frees_the_watch(self, serve: Any, api: Api) -> None:
        _, connect = await serve()
        connection = await connect()
        await connection.send(f"GET {CONFIG_MAPS}?watch=1&resourceVersion=1 HTTP/1.1\r\n{AUTH}\r\n".encode())
        await connection.head()
        watches = api.core.store._log._watches  # type: ignore[attr-defined]
        await eventually(lambda: any("configmaps" in prefix for prefix in watches))
        await connection.close()
        await eventually(lambda: not any("configmaps" in prefix for prefix in watches))

    async def test_the_server_closes_cleanly_under_open_watches(self, serve: Any, api: Api) -> None:
        server, connect = await serve()
        connection = await connect()
        await connection.send(f"GET {CONFIG_MAPS}?watch=1 HTTP/1.1\r\n{AUTH}\r\n".encode())
        await connection.head()
        async with asyncio.timeout(5):
            await server.close()
        assert await connection.ended()
        watches = api.core.store._log._watches  # type: ignore[attr-defined]
        assert not any("configmaps" in prefix for prefix in watches)


async def test_warnings_are_headers(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    answer = await connection.ask("GET", "/api/v1/namespaces/default/endpoints", headers=AUTH)
    assert answer.headers["warning"].startswith('299 - "v1 Endpoints is deprecated')


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ("", "/healthz", 200),
        ("", "/api", 403),
        ("", "/api/v1/pods", 403),
        (AUTH, "/api/v1/pods", 200),
        ("Authorization: Bearer wrong\r\n", "/api/v1/pods", 401),
        ("Authorization: Bearer wrong\r\n", "/healthz", 401),
        ("Authorization: Basic YWRtaW46YWRtaW4=\r\n", "/api/v1/pods", 403),
        ("Authorization: Bearer \r\n", "/api/v1/pods", 403),
    ],
)
async def test_tokens(serve: Any, headers: str, path: str, status: int) -> None:
    _, connect = await serve()
    assert (await (await connect()).ask("GET", path, headers=headers)).status == status


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def server_side(self, authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        pem = tmp_path / "server.pem"
        return server_tls(certificate=pem, key=pem, client_ca=tmp_path / "ca.pem")

    def client_side(self, authority: trustme.CA, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        if certificate is not None:
            certificate.configure_cert(context)
        return context

    async def test_a_certificate_says_who_one_is(
        self, serve: Any, authority: trustme.CA, server_side: ssl.SSLContext
    ) -> None:
        _, connect = await serve(tls=server_side)
        certificate = authority.issue_cert(common_name="jane", organization_name="developers")
        connection = await connect(self.client_side(authority, certificate))
        review = b'{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}'
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        user = json.loads((await connection.ask("POST", path, body=review)).body)["status"]["userInfo"]
        assert user == {"username": "jane", "groups": ["developers", "system:authenticated"]}
        assert connection.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"

    async def test_without_one_is_nobody(self, serve: Any, authority: trustme.CA, server_side: ssl.SSLContext) -> None:
        _, connect = await serve(tls=server_side)
        connection = await connect(self.client_side(authority))
        assert (await connection.ask("GET", "/healthz")).status == 200
        assert (await connection.ask("GET", "/api")).status == 403

    async def test_another_authority_is_refused(
        self, serve: Any, authority: trustme.CA, server_side: ssl.SSLContext
    ) -> None:
        _, connect = await serve(tls=server_side)
        stranger = trustme.CA().issue_cert(common_name="admin", organization_name="system:masters")
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            connection = await connect(self.client_side(authority, stranger))
            await connection.ask("GET", "/api")
