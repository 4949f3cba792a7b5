"""Overload and deadlines: 429 beyond the limits, 504 beyond the client's time, and what both leave alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.inflight import Inflight, is_long_running
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request, Response
from seamark.testing.clock import FakeClock

ADMIN = Identity("admin", (ADMIN_GROUP,))
MAPS = "/api/v1/namespaces/default/configmaps"


class Held:
    """A handler that answers when the test lets it."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        await self.go.wait()
        return Response(200)


def request(method: str, path: str = MAPS, *, who: Identity | None = None, watch: bool = False) -> Request:
    return Request(method, path, (("watch", "true"),) if watch else (), identity=who)


async def test_beyond_the_limit_is_429_until_there_is_room() -> None:
    inflight, held = Inflight(reading=2, mutating=1), Held()
    under_way = [asyncio.create_task(inflight.serve(request(m), held)) for m in ("GET", "GET", "POST")]
    await asyncio.sleep(0)
    for method in ("GET", "POST", "PATCH", "DELETE"):
        refused = await inflight.serve(request(method), held)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.body == b"Too many requests, please try again later.\n"
    held.go.set()
    assert [r.status for r in await asyncio.gather(*under_way)] == [200] * 3
    assert (await inflight.serve(request("POST"), held)).status == 200


async def test_administrators_and_watches_are_not_refused_and_watches_not_counted() -> None:
    inflight, held = Inflight(reading=1, mutating=1), Held()
    tasks = [asyncio.create_task(inflight.serve(request("GET", watch=True), held)) for _ in range(3)]
    tasks.append(asyncio.create_task(inflight.serve(request("GET"), held)))
    tasks.append(asyncio.create_task(inflight.serve(request("GET", who=ADMIN), held)))
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    held.go.set()
    assert [r.status for r in await asyncio.gather(*tasks)] == [200] * 5


async def test_no_limit() -> None:
    inflight, held = Inflight(reading=0, mutating=0), Held()
    tasks = [asyncio.create_task(inflight.serve(request("POST"), held)) for _ in range(500)]
    held.go.set()
    assert {r.status for r in await asyncio.gather(*tasks)} == {200}


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (MAPS, "", False),
        (MAPS, "watch=1", True),
        ("/api/v1/watch/namespaces/default/pods", "", True),
        ("/apis/apps/v1/watch/deployments", "", True),
        ("/api/v1/namespaces/watch", "", False),
        ("/api/v1/namespaces/default/pods/a/log", "", True),
        ("/api/v1/namespaces/default/services/a/proxy/deep/path", "", True),
        ("/api/v1/namespaces/default/pods/a/status", "", False),
    ],
)
def test_long_running(path: str, query: str, expected: bool) -> None:
    pairs = tuple(tuple(one.split("=")) for one in query.split("&") if one)
    assert is_long_running(Request("GET", path, pairs)) == expected  # type: ignore[arg-type]


async def test_the_clients_deadline(api: Api, clock: FakeClock) -> None:
    query = (("resourceVersion", "999999"), ("timeout", "20ms"))
    response = await api.handle(Request("GET", MAPS, query, identity=ADMIN))
    status = json.loads(response.body)
    assert (response.status, status["reason"]) == (504, "Timeout")
    assert status["message"] == (
        "Timeout: request did not complete within requested timeout - context deadline exceeded"
    )
    for _ in range(4):  # what goes on behind the answer comes to its end
        await clock.advance(1)


async def test_a_write_is_finished_though_its_client_is_gone(
    api: Api, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, go, begun = api.core.store, asyncio.Event(), asyncio.Event()
    create = store.create

    async def slowly(*, key: str, value: bytes) -> Any:
        begun.set()
        await go.wait()
        return await create(key=key, value=value)

    monkeypatch.setattr(store, "create", slowly)
    _, connect = await serve()
    connection = await connect()
    body = b'{"metadata":{"name":"left"}}'
    head = (
        f"POST {MAPS} HTTP/1.1\r\nAuthorization: Bearer the-administrators-token\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await connection.send(head.encode() + body)
    await begun.wait()
    await connection.close()
    await asyncio.sleep(0.05)
    go.set()
    for _ in range(200):
        if await store.get(key="/registry/core/configmaps/default/left"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the write was left in the middle")
