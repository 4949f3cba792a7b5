"""The proxy subresources against scripted servers, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.http1 import Limits
from seamark.client.client import Client
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, PODS, SERVICES
from seamark.machinery.streams import LogFolder
from seamark.testing.scriptednode import ScriptedNode

AUTH = "Authorization: Bearer the-administrators-token\r\nCookie: a=b\r\nX-Own: yes\r\n"
PODS_PATH = "/api/v1/namespaces/default/pods"
SERVICES_PATH = "/api/v1/namespaces/default/services"

Serve = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """Answers by the path; keeps the heads and bodies that it was sent."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.gone = asyncio.Event()
        self.more = asyncio.Event()
        self.stalled = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length = next((int(x.split(": ")[1]) for x in head.split("\r\n") if x.startswith("content-length")), 0)
            self.bodies.append(await reader.readexactly(length))
            await self.answer(head.split(" ")[1], reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.gone.set()

    async def answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = path.partition("?")[0].removeprefix("/")
        if name == "stream":
            writer.write(CHUNKED)
            await self.more.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        elif name == "forever":
            writer.write(CHUNKED)
            await reader.read()
        elif name == "large":
            await self.write_large(writer)
        elif name == "echo":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi ")
            while data := await reader.read(1000):
                writer.write(data)
                if b"bye" in data:
                    break
        else:
            writer.write(ANSWERS.get(name) or render(b"you asked /" + name.encode()))
        await writer.drain()

    async def write_large(self, writer: asyncio.StreamWriter) -> None:
        """``stalled`` once nobody has taken anything for a while."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        for _ in range(LARGE // 65536):
            writer.write(b"x" * 65536)
            try:
                async with asyncio.timeout(0.2):
                    await writer.drain()
            except TimeoutError:
                self.stalled.set()
                await writer.drain()


def render(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


LARGE = 512 * 65536
PAGE = b'<a href="/x/">\xc3\xbc</a><img src="rel.png"><script>a("/x")</script>'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
COOKIES = ("Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "Connection: X-Hop", "X-Hop: 1", "X-Other: 1")
ANSWERS = {
    "page": render(PAGE, "Content-Type: text/html; charset=utf-8"),
    "gzip": render(gzip.compress(PAGE), "Content-Type: text/html", "Content-Encoding: gzip"),
    "redirect": render(b"", "Location: /elsewhere?x=1", status="302 Found"),
    "cookies": render(b"x", *COOKIES),
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + render(b"done"),
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "until-close": b"HTTP/1.1 200 OK\r\n\r\nto the end",
    "rubbish": b"rubbish\r\n\r\n",
    "silent": b"HTTP",
}


@pytest.fixture
async def upstream(api: Api, client: Client) -> AsyncIterator[Upstream]:
    node, upstream = ScriptedNode(), Upstream()
    upstream.node = node  # type: ignore[attr-defined]
    object.__setattr__(api.core, "nodes", {"node1": node}.get)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    node.ports = dict.fromkeys((80, 443, 8080), port) | {9: 1}
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 8080}]}
    for name, spec, status in (
        ("p", {"nodeName": "node1", "containers": [container]}, {"podIP": "10.244.0.5"}),
        ("bare", {"nodeName": "node1", "containers": [{"name": "c", "image": "i"}]}, {"podIP": "10.244.0.6"}),
        ("waiting", {"containers": [container]}, {}),
        ("loop", {"nodeName": "node1", "containers": [container]}, {"podIP": "127.0.0.1"}),
        ("away", {"nodeName": "node9", "containers": [container]}, {"podIP": "10.244.0.7"}),
    ):
        await client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        await client.patch(PODS, name, {"status": status}, namespace="default", subresource="status")
    await client.create(NODES, {"metadata": {"name": "node1"}})
    addresses = {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}
    await client.patch(NODES, "node1", {"status": addresses}, subresource="status")
    ports = [{"name": "web", "port": 80, "targetPort": 8080}, {"name": "other", "port": 81}]
    await client.create(SERVICES, {"metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": ports}})
    labels = {"kubernetes.io/service-name": "s"}
    for name, address, ready in (("s-1", "10.244.0.5", True), ("s-2", "10.244.0.99", False)):
        one = {"addresses": [address], "conditions": {"ready": ready}, "nodeName": "node1"}
        body = {"addressType": "IPv4", "ports": [{"name": "web", "port": 8080}], "endpoints": [one]}
        await client.create(
            ENDPOINTSLICES, {"metadata": {"name": name, "namespace": "default", "labels": labels}, **body}
        )
    yield upstream
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("path", "dialled"),
    [
        (f"{PODS_PATH}/p/proxy/x", ("10.244.0.5", 8080, False)),
        (f"{PODS_PATH}/p:80/proxy/x", ("10.244.0.5", 80, False)),
        (f"{PODS_PATH}/http:p:80/proxy/x", ("10.244.0.5", 80, False)),
        (f"{PODS_PATH}/https:p:443/proxy/x", ("10.244.0.5", 443, True)),
        (f"{PODS_PATH}/bare/proxy/x", ("10.244.0.6", 80, False)),
        (f"{PODS_PATH}/https:bare:/proxy/x", ("10.244.0.6", 443, True)),
        (f"{SERVICES_PATH}/s:web/proxy/x", ("10.244.0.5", 8080, False)),
        (f"{SERVICES_PATH}/s:80/proxy/x", ("10.244.0.5", 8080, False)),
        (f"{SERVICES_PATH}/https:s:web/proxy/x", ("10.244.0.5", 8080, True)),
        ("/api/v1/nodes/node1:8080/proxy/x", ("192.0.2.1", 8080, False)),
    ],
)
async def test_where_it_goes(upstream: Any, serve: Any, path: str, dialled: tuple[str, int, bool]) -> None:
    _, connect = await serve()
    answer = await (await connect()).ask("GET", path, headers=AUTH)
    assert (answer.status, answer.body) == (200, b"you asked /x")
    assert upstream.node.dialled == [dialled]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (f"{PODS_PATH}/nosuch/proxy/", 404, 'pods "nosuch" not found'),
        (f"{PODS_PATH}/a:b:c:d/proxy/", 400, 'invalid pod request "a:b:c:d"'),
        (f"{PODS_PATH}/ftp:p:1/proxy/", 400, 'invalid pod request "ftp:p:1"'),
        (f"{PODS_PATH}/p:x/proxy/", 400, 'invalid port "x"'),
        (f"{PODS_PATH}/p:9/proxy/", 503, "error trying to reach service: dial tcp 10.244.0.5:9: connect: "),
        (f"{PODS_PATH}/waiting/proxy/", 503, "no address is known yet"),
        (f"{PODS_PATH}/loop/proxy/", 400, "address not allowed"),
        (f"{PODS_PATH}/away/proxy/", 503, 'node "node9" is not connected'),
        (f"{PODS_PATH}/p/proxy/rubbish", 503, "error trying to reach service: malformed HTTP response"),
        (f"{PODS_PATH}/p/proxy/silent", 503, "error trying to reach service: EOF"),
        (f"{SERVICES_PATH}/nosuch/proxy/", 404, 'services "nosuch" not found'),
        (f"{SERVICES_PATH}/s:82/proxy/", 503, 'no service port 82 found for service "s"'),
        (f"{SERVICES_PATH}/s:other/proxy/", 503, 'no endpoints available for service "s:other"'),
        (f"{SERVICES_PATH}/s/proxy/", 503, 'no endpoints available for service "s"'),
        ("/api/v1/nodes/nosuch/proxy/", 404, 'nodes "nosuch" not found'),
    ],
)
async def test_refusals(upstream: Any, serve: Any, path: str, status: int, text: str) -> None:
    _, connect = await serve()
    answer = await (await connect()).ask("GET", path, headers=AUTH)
    assert answer.status == status and text in json.loads(answer.body)["message"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_methods_paths_and_headers_pass(upstream: Any, serve: Any, method: str) -> None:
    _, connect = await serve()
    connection = await connect()
    path, body = f"{PODS_PATH}/p/proxy/a%2Fb/%7Ec/?q&x=1&x=%20", b"body" if method in ("POST", "PUT", "PATCH") else b""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    await connection.send(f"{method} {path} HTTP/1.1\r\nHost: me:1\r\n{AUTH}{length}\r\n".encode() + body)
    answer = await connection.head()
    assert answer.status == 200 and answer.headers["content-length"] == str(len("you asked /a%2Fb/%7Ec/"))
    head = upstream.heads[0]
    assert head.startswith(f"{method} /a%2Fb/%7Ec/?q&x=1&x=%20 HTTP/1.1\r\n")
    for line in ("host: me:1", "cookie: a=b", "x-own: yes", f"x-forwarded-uri: {path.partition('?')[0]}"):
        assert f"{line}\r\n" in head
    assert "uthorization" not in head and upstream.bodies == [body]


async def test_a_path_without_its_slash_is_redirected(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    answer = await (await connect()).ask("GET", f"{PODS_PATH}/p/proxy?x=1", headers=AUTH)
    assert (answer.status, answer.headers["location"]) == (301, f"{PODS_PATH}/p/proxy/?x=1")
    answer = await (await connect()).ask("GET", f"{PODS_PATH}/p/proxy/", headers=AUTH)
    assert answer.body == b"you asked /"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_path_without_its_slash_is_the_root_for_methods_that_no_browser_follows(
    upstream: Any, serve: Any, method: str
) -> None:
    _, connect = await serve()
    answer = await (await connect()).ask(method, f"{PODS_PATH}/p/proxy?x=1", headers=AUTH)
    assert answer.body == b"you asked /"
    assert upstream.heads[0].startswith(f"{method} /?x=1 HTTP/1.1\r\n")
    assert f"x-forwarded-uri: {PODS_PATH}/p/proxy\r\n" in upstream.heads[0]


@pytest.mark.parametrize("path", ["page", "gzip"])
async def test_links_in_a_page(upstream: Any, serve: Any, path: str) -> None:
    _, connect = await serve()
    answer = await (await connect()).ask("GET", f"{SERVICES_PATH}/s:web/proxy/{path}", headers=AUTH)
    body = gzip.decompress(answer.body) if path == "gzip" else answer.body
    link = f'<a href="{SERVICES_PATH}/s:web/proxy/x/">'.encode()
    assert body == link + b'\xc3\xbc</a><img src="rel.png"><script>a("/x")</script>'


async def test_answers_pass(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()  # one connection of the client, however many the proxy makes
    answer = await connection.ask("GET", f"{PODS_PATH}/p/proxy/redirect", headers=AUTH)
    assert (answer.status, answer.headers["location"]) == (302, f"{PODS_PATH}/p/proxy/elsewhere?x=1")
    await connection.send(f"GET {PODS_PATH}/p/proxy/cookies HTTP/1.1\r\n{AUTH}\r\n".encode())
    raw = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert "set-cookie: a=1; path=/\r\nset-cookie: b=2\r\n" in raw and "x-other: 1" in raw and "x-hop" not in raw
    assert await connection.reader.readexactly(1) == b"x"
    await connection.send(f"GET {PODS_PATH}/p/proxy/nothing HTTP/1.1\r\n{AUTH}\r\n".encode())
    assert (await connection.head()).status == 204
    assert (await connection.ask("GET", f"{PODS_PATH}/p/proxy/interim", headers=AUTH)).body == b"done"
    assert (await connection.ask("GET", f"{PODS_PATH}/p/proxy/until-close", headers=AUTH)).body == b"to the end"


async def test_an_answer_is_streamed_and_its_reader_is_followed(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    await connection.send(f"GET {PODS_PATH}/p/proxy/stream HTTP/1.1\r\n{AUTH}\r\n".encode())
    await connection.head()
    assert await connection.chunk() == b"one"
    upstream.more.set()
    assert await connection.chunk() == b"two" and await connection.chunk() == b""
    upstream.gone.clear()
    await connection.send(f"GET {PODS_PATH}/p/proxy/forever HTTP/1.1\r\n{AUTH}\r\n".encode())
    await connection.head()
    await connection.close()
    async with asyncio.timeout(5):
        await upstream.gone.wait()


async def test_a_reader_may_pause(upstream: Any, serve: Any) -> None:
    """As a log in a pager: nothing is gathered for it, and nothing is cut off."""
    _, connect = await serve(limits=Limits(write_time=0.01))
    connection = await connect()
    await connection.send(f"GET {PODS_PATH}/p/proxy/large HTTP/1.1\r\n{AUTH}\r\n".encode())
    async with asyncio.timeout(10):
        await upstream.stalled.wait()
        await connection.head()
        assert await connection.reader.readexactly(LARGE) == b"x" * LARGE


async def test_an_answer_that_breaks_off_breaks_off(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    await connection.send(f"GET {PODS_PATH}/p/proxy/short HTTP/1.1\r\n{AUTH}\r\n".encode())
    assert (await connection.head()).headers["content-length"] == "100"
    assert await connection.reader.read() == b"abc"


async def test_an_upgrade_passes_byte_by_byte(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n"
    await connection.send(f"GET {PODS_PATH}/p/proxy/echo HTTP/1.1\r\n{AUTH}{upgrade}\r\nearly ".encode())
    head = await connection.head()
    assert (head.status, head.headers["upgrade"]) == (101, "echo")
    async with asyncio.timeout(5):
        assert await connection.reader.readexactly(9) == b"hi early "
        await connection.send(b"\x00\xff bye")
        assert await connection.reader.read() == b"\x00\xff bye"
    assert "upgrade: echo\r\n" in upstream.heads[0].lower() and "uthorization" not in upstream.heads[0]
    refused = await (await connect()).ask("GET", f"{PODS_PATH}/p/proxy/other", headers=AUTH + upgrade)
    assert (refused.status, refused.body) == (200, b"you asked /other")


async def test_a_kubelet(upstream: Any, serve: Any) -> None:
    _, connect = await serve()
    for name in ("node1", "node1:10250", "https:node1:10250"):
        connection = await connect()
        assert (await connection.ask("GET", f"/api/v1/nodes/{name}/proxy/healthz", headers=AUTH)).body == b"ok"
    pods = json.loads((await connection.ask("GET", "/api/v1/nodes/node1/proxy/pods", headers=AUTH)).body)
    assert [pod["metadata"]["name"] for pod in pods["items"]] == ["bare", "loop", "p"]
    logs = await connection.ask("GET", "/api/v1/nodes/node1/proxy/containerLogs/default/p/c?tailLines=2", headers=AUTH)
    assert logs.body == b"one\n" and upstream.node.logged[-1].tail_lines == 2
    assert (await connection.ask("GET", "/api/v1/nodes/node1/proxy/nosuch", headers=AUTH)).status == 404


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("logs", 301, b""),
        ("logs/", 200, b'<a href="pods/">pods/</a>\n<a href="a%20%3Cb%3E">a &lt;b&gt;</a>\n'),
        ("logs/pods", 301, b""),
        ("logs/a%20%3Cb%3E", 200, b"one\n"),
        ("logs/nosuch", 404, b"404 page not found\n"),
    ],
)
async def test_log_files_of_a_node(upstream: Any, serve: Any, path: str, status: int, body: bytes) -> None:
    upstream.node.log_files = {"": LogFolder(("pods/", "a <b>")), "pods": LogFolder(()), "a <b>": b"one\n"}
    _, connect = await serve()
    answer = await (await connect()).ask("GET", f"/api/v1/nodes/node1:10250/proxy/{path}", headers=AUTH)
    assert answer.status == status and body in answer.body
    if status == 301:
        assert answer.headers["location"] == f"{path.rpartition('/')[2]}/"
