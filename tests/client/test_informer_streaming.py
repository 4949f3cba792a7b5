"""Streaming lists (KEP-3157): a watch that begins with what there is, and servers that do not offer one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.client.informer import INITIAL_END, Informer
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request, Response
from seamark.model.meta import ObjectKey
from seamark.model.pod import Pod
from seamark.testing.clock import FakeClock, settle

END = {"kind": "Pod", "metadata": {"resourceVersion": "9", "annotations": {INITIAL_END: "true"}}}


@pytest.fixture
async def informer(scripted: Client) -> AsyncIterator[Informer[Pod]]:
    found: Informer[Pod] = Informer(scripted, PODS, Pod, clock=FakeClock(), streaming=True, commit_times=True)
    task = asyncio.create_task(found.run())
    await settle()
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_watch_is_list_and_watch(server: Any, make_pod: Any, informer: Informer[Pod]) -> None:
    (wire,) = server.watches
    asked = {key: wire.request.param(key) for key in ("sendInitialEvents", "resourceVersionMatch", "resourceVersion")}
    assert asked == {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": ""}
    wire.send("ADDED", make_pod("a", 3))
    wire.send("ADDED", make_pod("b", 5))
    wire.send("DELETED", make_pod("b", 8))
    await settle()
    assert not informer.synced, "nobody may take half a list for the whole"
    wire.send("BOOKMARK", END)
    wire.send("MODIFIED", make_pod("a", 12))
    await settle()
    assert informer.synced
    assert [key.name for key in informer.items] == ["a"]
    assert informer.last_revision == "12"
    assert len(server.requests) == 1


async def test_commit_times_are_told_with_the_event(server: Any, make_pod: Any, informer: Informer[Pod]) -> None:
    seen: list[Any] = []
    informer.on_change(lambda old, new, _: seen.append(informer.event and informer.event.committed))
    (wire,) = server.watches
    assert wire.request.param("commitTimes") == "true"
    wire.send("ADDED", make_pod("a", 3))
    wire.send("BOOKMARK", END)
    wire.send_bytes(b'{"type":"DELETED","object":{"metadata":{"name":"a","namespace":"default","uid":"uid-a"}},')
    wire.send_bytes(b'"committed":17.25}\n')
    await settle()
    assert seen == [None, 17.25]
    assert informer.event is None


async def test_a_break_goes_on_where_it_was_or_begins_again(
    server: Any, make_pod: Any, informer: Informer[Pod]
) -> None:
    clock: Any = informer._clock
    server.watches[0].send("ADDED", make_pod("a", 3))
    server.watches[0].end()
    await settle()
    await clock.advance(0.05)
    assert server.watches[1].request.param("sendInitialEvents") == "true"
    assert not informer.synced
    server.watches[1].send("ADDED", make_pod("b", 4))
    server.watches[1].send("BOOKMARK", END)
    server.watches[1].snap()
    await settle()
    await clock.advance(0.2)
    assert server.watches[2].request.param("resourceVersion") == "9"
    assert list(informer.items) == [ObjectKey("default", "b")]


async def test_a_server_without_streaming_lists_is_asked_for_pages(make_pod: Any) -> None:
    asked: list[Request] = []

    class Old:
        async def __call__(self, request: Request) -> Response:
            asked.append(request)
            if request.param("sendInitialEvents"):
                message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch"
                raise StatusError(422, "Invalid", message, details={})
            if request.flag("watch"):
                await asyncio.Event().wait()
            return Response(200, b'{"metadata":{"resourceVersion":"7"},"items":[]}')

        async def close(self) -> None: ...

    informer: Informer[Pod] = Informer(Client(Old()), PODS, Pod, clock=FakeClock(), page=500, streaming=True)
    task = asyncio.create_task(informer.run())
    await settle()
    assert informer.synced
    assert [request.param("limit") for request in asked] == ["", "500", ""]
    assert asked[2].param("resourceVersion") == "7"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
