"""Bad input and faults: a Status or a clean close, in kube-apiserver's words where it has any; never a traceback."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.http1 import HttpProtocol, Limits
from seamark.api.server import ApiServer
from seamark.client.client import Client
from seamark.machinery.gvr import CONFIGMAPS
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request

ADMIN = Identity("jane", (ADMIN_GROUP,))
MAPS = "/api/v1/namespaces/default/configmaps"
AUTH = "Authorization: Bearer the-administrators-token\r\n"
Obj = dict[str, Any]
DEEP = 100_000


@pytest.fixture(autouse=True)
def nothing_unforeseen(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def ask(api: Api, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> Obj:
    request = Request(method, path, (), {"content-type": content_type}, body, ADMIN)
    found: Obj = json.loads((await api.handle(request)).body)
    return found


def named(text: str) -> bytes:
    return b'{"metadata":{"name":"z"}' + text.encode() + b"}"


UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "
NO_KIND = f"{UNRECOGNIZED}couldn't get version/kind; json parse error: "


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param(b"", 400, f"{NO_KIND}unexpected end of JSON input (<empty>)", id="empty"),
        pytest.param(b"{", 400, f"{NO_KIND}unexpected end of JSON input ({{)", id="cut-off"),
        pytest.param(b"[]", 400, f"{NO_KIND}json: cannot unmarshal array into Go value of type", id="list"),
        pytest.param(b'"x"', 400, f"{NO_KIND}json: cannot unmarshal string into Go value of type", id="text"),
        pytest.param(b"null", 422, "metadata.name: Required value: name or generateName is required", id="null"),
        pytest.param(named("} x"), 400, NO_KIND, id="trailing"),
        pytest.param(b"\xef\xbb\xbf{}", 400, NO_KIND, id="byte-order-mark"),
        pytest.param(b'{"metadata":{"name":"\xff"}}', 400, UNRECOGNIZED, id="not-utf-8"),
        pytest.param(b"[" * DEEP + b"]" * DEEP, 400, NO_KIND, id="deep-list"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400, NO_KIND, id="deep-object"),
        pytest.param(
            b'{"metadata":[]}',
            400,
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal array into Go struct '
            "field ConfigMap.metadata of type v1.ObjectMeta",
            id="metadata",
        ),
        pytest.param(
            b'{"kind":"Secret","apiVersion":"v1"}',
            400,
            'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): '
            "unknown conversion",
            id="another-kind",
        ),
        pytest.param(
            b'{"kind":"ConfigMap","apiVersion":"v2"}',
            400,
            'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version '
            '"v2"',
            id="another-version",
        ),
        pytest.param(
            b'{"metadata":{"name":"z","namespace":"other"}}',
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
            id="another-namespace",
        ),
        pytest.param(b'{"metadata":{"name":"../z"}}', 422, "a lowercase RFC 1123 subdomain", id="path-in-a-name"),
    ],
)
async def test_bodies(api: Api, body: bytes, code: int, message: str) -> None:
    status = await ask(api, "POST", MAPS, body)
    assert (status["kind"], status["code"]) == ("Status", code)
    assert message in status["message"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"a: [", "application/yaml", id="yaml"),
        pytest.param(b"[" * DEEP, "application/yaml", id="deep-yaml"),
        pytest.param(b"- " * DEEP, "application/yaml", id="deep-yaml-list"),
        pytest.param(b"&a [*a]", "application/yaml", id="yaml-circle"),
        pytest.param(b"? [a]\n: b", "application/yaml", id="yaml-key"),
        pytest.param(b"!!int x", "application/yaml", id="yaml-tag"),
        pytest.param(b"!!python/object/apply:os.system [id]", "application/yaml", id="yaml-python"),
        pytest.param(b"k8s\0" + b"\x0a\x02" * 5000, "application/vnd.kubernetes.protobuf", id="protobuf"),
        pytest.param(b"k8s\0\x12\xff\xff\xff\xff\x7f", "application/vnd.kubernetes.protobuf", id="protobuf-length"),
        pytest.param(b"{}", "application/vnd.kubernetes.protobuf", id="no-protobuf"),
    ],
)
async def test_other_bodies(api: Api, body: bytes, content_type: str) -> None:
    status = await ask(api, "POST", MAPS, body, content_type)
    assert (status["code"], status["reason"]) == (400, "BadRequest")
    assert "Traceback" not in status["message"] and "\n" not in status["message"]


@pytest.mark.parametrize(
    "kind", ["merge-patch+json", "strategic-merge-patch+json", "json-patch+json", "apply-patch+yaml"]
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut-off"),
        pytest.param(b'"x"', id="text"),
        pytest.param(b"[1]", id="list-of-numbers"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, id="deep"),
        pytest.param(b'[{"op":"add","path":"/a","value":' + b"[" * DEEP + b"]" * DEEP + b"}]", id="deep-operation"),
        pytest.param(b'{"metadata":{"name":1}}', id="wrong-type"),
    ],
)
async def test_patches(api: Api, client: Client, kind: str, body: bytes) -> None:
    made = await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
    request = Request(
        "PATCH", f"{MAPS}/a", (("fieldManager", "x"),), {"content-type": f"application/{kind}"}, body, ADMIN
    )
    response = await api.handle(request)
    assert 400 <= response.status < 500 or b"failed to create typed patch" in response.body, response.body
    assert json.loads(response.body)["kind"] == "Status"
    assert await client.get(CONFIGMAPS, "a", namespace="default") == made


async def test_too_many_operations(api: Api, client: Client) -> None:
    await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
    body = json.dumps([{"op": "add", "path": "/data", "value": {}}] * 10_001).encode()
    status = await ask(api, "PATCH", f"{MAPS}/a", body, "application/json-patch+json")
    assert (status["code"], status["message"]) == (
        413,
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
    )


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{MAPS}/..", 400),
        (f"{MAPS}/%2e%2e", 400),
        (f"{MAPS}/a%2Fb", 400),
        (f"{MAPS}/a%25b", 400),
        (f"{MAPS}/a%00b", 400),
        (f"{MAPS}//a", 400),
        ("/api/v1/namespaces/../configmaps", 400),
        ("/api/v1/namespaces/%2e%2e/configmaps/a", 400),
        ("/api/v1/namespaces/a%2Fb/configmaps", 400),
        ("/api/v1/namespaces//configmaps", 400),
        ("/api//v1/x", 404),
        (f"{MAPS}/a/nosuch", 404),
        (f"{MAPS}/a/status/deeper", 404),
        ("/apis/apps/v2/deployments", 404),
        ("/api/v1/namespaces/default/nodes", 404),
        ("/api/v1/configmaps/a", 404),
        (
            "/api/v1/namespaces/" + "x" * 5000 + "/configmaps",
            200,
        ),  # an empty list, as of any namespace that is not there
    ],
)
async def test_paths(api: Api, path: str, code: int) -> None:
    response = await api.handle(Request("GET", path, identity=ADMIN))
    assert response.status == code, response.body
    assert json.loads(response.body)["kind"] in ("Status", "ConfigMapList")


async def test_a_thousand_unknown_fields_do_not_burst_the_head(api: Api) -> None:
    body = json.dumps({"metadata": {"name": "z"}, **{f"field{i}": i for i in range(3000)}}).encode()
    response = await api.handle(Request("POST", MAPS, (), {}, body, ADMIN))
    assert response.status == 201
    assert 4096 <= sum(map(len, response.warnings)) <= 4096 + 256
    long = {f"{'x' * 900}{i}": 1 for i in range(9)}
    response = await api.handle(
        Request("POST", MAPS, (), {}, json.dumps({"metadata": {"name": "y"}, **long}).encode(), ADMIN)
    )
    assert [len(text) for text in response.warnings] == [256] * 9


async def test_three_megabytes(serve: Any) -> None:
    _, connect = await serve()
    connection = await connect()
    await connection.send(f"POST {MAPS} HTTP/1.1\r\n{AUTH}Content-Length: {4 << 20}\r\n\r\n".encode())
    answer = await connection.answer()
    assert answer.status == 413
    assert json.loads(answer.body) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Request entity too large: limit is 3145728",
        "reason": "RequestEntityTooLarge",
        "code": 413,
    }
    assert await connection.ended()


async def test_a_client_that_shuts_its_half_ends_the_watch(serve: Any, api: Api) -> None:
    server, connect = await serve()
    connection = await connect()
    await connection.send(f"GET {MAPS}?watch=true HTTP/1.1\r\n{AUTH}\r\n".encode())
    assert (await connection.head()).status == 200
    connection.writer.write_eof()
    assert await connection.ended()
    assert connections_of(server) == set()


def connections_of(server: ApiServer) -> set[HttpProtocol]:
    return server._connections


class Watcher(asyncio.Protocol):
    """Reads a watch and counts what comes; a deaf one reads nothing."""

    def __init__(self, *, deaf: bool) -> None:
        self.deaf = deaf
        self.seen = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET {MAPS}?watch=true HTTP/1.1\r\nHost: x\r\n{AUTH}\r\n".encode())
        if self.deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.seen += data.count(b'"ADDED"') + data.count(b'"MODIFIED"')

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True


async def until(holds: Any, seconds: float = 30) -> None:
    for _ in range(int(seconds * 100)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


async def test_a_thousand_watchers_of_which_a_hundred_never_read(serve: Any, client: Client) -> None:
    """The deaf ones cost a bounded buffer each, and are dropped; the others miss nothing."""
    server, connect = await serve(limits=Limits(write_time=1.0))
    address = (await connect()).writer.get_extra_info("peername")
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    for number in range(1000):
        deaf = number % 10 == 0
        sock = socket.socket()
        if deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        _, watcher = await loop.create_connection(lambda deaf=deaf: Watcher(deaf=deaf), sock=sock)  # type: ignore[misc]
        watchers.append(watcher)
    await until(lambda: sum(c._streaming for c in connections_of(server)) == 1000)
    for connection in connections_of(server):  # so that the kernel does not take it all
        assert connection._transport is not None
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    rounds, size = 12, 30_000
    made = await client.create(
        CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "x" * size}}
    )
    readers = [w for w in watchers if not w.deaf]
    for number in range(1, rounds):
        made = await client.update(CONFIGMAPS, {**made, "data": {"k": "x" * size, "n": str(number)}})
        await until(lambda number=number: all(w.seen > number for w in readers))  # type: ignore[misc]
        held = sum(c._transport.get_write_buffer_size() for c in connections_of(server) if c._transport is not None)
        assert held <= 100 * (3 * size + (64 << 10))
    assert {w.seen for w in readers} == {rounds}
    await until(lambda: len(connections_of(server)) <= 901)  # and the one that told the address
    for watcher in watchers:
        watcher.transport.abort()
    await until(lambda: len(connections_of(server)) <= 1)
