"""List and watch, in process, as a client sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import CONFIGMAPS, NAMESPACES
from seamark.testing.asking import ask, parsed
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default", **meta}, "data": data or {}}


def pod(name: str, node: str = "", **spec: Any) -> Obj:
    given = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {}), **spec}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": given}


async def events(client: Client, count: int, **query: Any) -> list[tuple[str, str, str]]:
    """(type, name, resourceVersion) of the next ``count`` events on config maps."""
    found = []
    async with asyncio.timeout(5), aclosing(client.watch(CONFIGMAPS, namespace="default", query=query)) as stream:
        async for event in stream:
            meta = json.loads(bytes(event.object)).get("metadata", {})
            found.append((event.type, meta.get("name", ""), meta.get("resourceVersion", "")))
            if len(found) == count:
                break
    return found


async def eventually(clock: FakeClock, seconds: float, done: Callable[[], bool]) -> None:
    """Moves time, and gives the watch the few real milliseconds it waits for stragglers."""
    for _ in range(int(seconds)):
        await clock.advance(1)
    for _ in range(100):
        if done():
            return
        await asyncio.sleep(0.01)
        await clock.advance(0)


class TestList:
    async def test_pages_come_from_one_snapshot(self, client: Client, api: Api) -> None:
        for name in "abcde":
            await client.create(CONFIGMAPS, config_map(name))
        base = "/api/v1/namespaces/default/configmaps?limit=2"
        first = parsed(await ask(api, "GET", base))
        assert first["metadata"]["remainingItemCount"] == 3
        await client.create(CONFIGMAPS, config_map("bb"))
        await client.delete(CONFIGMAPS, "d", namespace="default")
        second = parsed(await ask(api, "GET", f"{base}&continue={first['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in second["items"]] == ["c", "d"]
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        last = parsed(await ask(api, "GET", f"{base}&continue={second['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in last["items"]] == ["e"]
        assert "continue" not in last["metadata"]

    async def test_an_expired_page_gives_a_token_to_go_on(self, client: Client, api: Api) -> None:
        for name in "abc":
            await client.create(CONFIGMAPS, config_map(name))
        base = "/api/v1/namespaces/default/configmaps?limit=1"
        first = parsed(await ask(api, "GET", base))
        await client.create(CONFIGMAPS, config_map("aa"))
        await api.core.store.compact(revision=await api.core.store.revision())
        response = await ask(api, "GET", f"{base}&continue={first['metadata']['continue']}")
        gone = parsed(response)
        assert (response.status, gone["reason"]) == (410, "Expired")
        again = parsed(await ask(api, "GET", f"{base}&continue={gone['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in again["items"]] == ["aa"]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("continue=rubbish", 400),
            ("resourceVersion=abc", 400),
            ("limit=x", 400),
            ("limit=-1", 200),
            ("timeoutSeconds=x", 400),
            ("timeout=x", 400),
            ("labelSelector=a in", 400),
            ("fieldSelector=spec.x=1", 400),
            ("resourceVersionMatch=Exact", 422),
            ("resourceVersionMatch=Exact&resourceVersion=0", 422),
            ("resourceVersionMatch=Some&resourceVersion=1", 422),
            ("sendInitialEvents=true", 422),
            ("resourceVersionMatch=Exact&resourceVersion=1", 200),
        ],
    )
    async def test_options_are_checked(self, api: Api, query: str, code: int) -> None:
        response = await ask(api, "GET", f"/api/v1/namespaces/default/configmaps?{query}")
        assert response.status == code, response.body

    @pytest.mark.parametrize("path", ["/api/v1/configmaps", "/api/v1/namespaces/default"])
    async def test_the_future_times_out(self, api: Api, clock: FakeClock, path: str) -> None:
        assert (await ask(api, "GET", f"{path}?resourceVersion=1")).status == 200
        assert (await ask(api, "GET", f"{path}?resourceVersion=new")).status == 400
        asking = asyncio.create_task(ask(api, "GET", f"{path}?resourceVersion=99999"))
        for _ in range(40):
            await clock.advance(0.1)
        response = await asking
        assert response.status == 504
        assert parsed(response)["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    async def test_selectors(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", labels={"app": "web"}))
        await client.create(CONFIGMAPS, config_map("b", labels={"app": "db"}))
        for query, wanted in (
            ({"labelSelector": "app=web"}, ["a"]),
            ({"labelSelector": "app!=web"}, ["b"]),
            ({"fieldSelector": "metadata.name=b"}, ["b"]),
            ({"fieldSelector": "metadata.namespace!=default"}, []),
        ):
            found = await client.list(CONFIGMAPS, namespace="default", query=query)
            assert [o["metadata"]["name"] for o in found] == wanted


class TestWatch:
    async def test_goes_on_from_a_revision(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a"))
        since = made["metadata"]["resourceVersion"]
        await client.patch(CONFIGMAPS, "a", {"data": {"k": "1"}}, namespace="default")
        await client.delete(CONFIGMAPS, "a", namespace="default")
        first = int(since)
        assert await events(client, 2, resourceVersion=since) == [
            ("MODIFIED", "a", str(first + 1)),
            ("DELETED", "a", str(first + 2)),
        ]

    async def test_begins_with_what_exists_and_says_where_that_ends(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        found = await events(client, 2)
        assert [kind for kind, _, _ in found] == ["ADDED", "BOOKMARK"]
        streaming = await events(client, 2, sendInitialEvents=True, resourceVersionMatch="NotOlderThan")
        assert streaming == found

    async def test_leaving_a_selector_is_a_deletion(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a", labels={"app": "web"}))
        since = made["metadata"]["resourceVersion"]
        for label in ("db", "web"):
            await client.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"app": label}}}, namespace="default")
        first = int(since)
        assert await events(client, 2, resourceVersion=since, labelSelector="app=web") == [
            ("DELETED", "a", str(first + 1)),
            ("ADDED", "a", str(first + 2)),
        ]

    async def test_the_old_path_of_one_object(self, client: Client, api: Api) -> None:
        for name in ("a", "b"):
            await client.create(CONFIGMAPS, config_map(name))
        response = await ask(api, "GET", "/api/v1/watch/namespaces/default/configmaps/b")
        assert response.stream is not None
        async with aclosing(response.stream) as stream:  # type: ignore[type-var]
            (line,) = (await anext(stream)).splitlines()
        assert json.loads(line)["object"]["metadata"]["name"] == "b"

    async def test_too_old_is_an_event(self, client: Client, api: Api) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        await api.core.store.compact(revision=await api.core.store.revision())
        async with aclosing(client.watch(CONFIGMAPS, query={"resourceVersion": "1"})) as stream:
            found = [(e.type, json.loads(bytes(e.object))["code"]) async for e in stream]
        assert found == [("ERROR", 410)]

    async def test_bookmarks_and_end_by_the_clock(self, client: Client, api: Api, clock: FakeClock) -> None:
        path = "/api/v1/configmaps?watch=1&resourceVersion=1&timeoutSeconds=100&allowWatchBookmarks=true"
        response = await ask(api, "GET", path)
        assert response.stream is not None
        lines: list[Obj] = []

        async def read(stream: Any) -> None:
            async for chunk in stream:
                lines.extend(json.loads(line) for line in chunk.splitlines())

        reading = asyncio.create_task(read(response.stream))
        await clock.advance(1)
        await client.create(NAMESPACES, {"metadata": {"name": "other"}})
        moved = str(await api.core.store.revision())
        await eventually(clock, 60, lambda: bool(lines))
        assert [(e["type"], e["object"]["metadata"]["resourceVersion"]) for e in lines] == [("BOOKMARK", moved)]
        await eventually(clock, 40, reading.done)
        assert reading.done() and len(lines) == 1

    @pytest.mark.parametrize(
        ("query", "code"),
        [("resourceVersion=abc", 500), ("sendInitialEvents=true", 422), ("resourceVersionMatch=NotOlderThan", 422)],
    )
    async def test_options_are_checked(self, api: Api, query: str, code: int) -> None:
        assert (await ask(api, "GET", f"/api/v1/configmaps?watch=true&{query}")).status == code
