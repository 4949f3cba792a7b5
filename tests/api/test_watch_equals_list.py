"""What informers stand on: a list and the watch that goes on from it always add up to the next list."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import CONFIGMAPS, NAMESPACES
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock, settle

WHO = Identity("jane", ("system:masters",))
PATH = "/api/v1/namespaces/default/configmaps"
STEP = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["put", "touch", "delete"]), st.sampled_from(["x", "y"])
)
SELECTORS = ["", "app=x", "app!=x", "app in (x,y)", "!app"]


async def write(client: Client, name: str, verb: str, label: str) -> None:
    """One change; one that does not apply is none."""
    meta = {"name": name, "namespace": "default", "labels": {"app": label}}
    try:
        if verb == "delete":
            await client.delete(CONFIGMAPS, name, namespace="default")
        elif verb == "touch":
            await client.patch(CONFIGMAPS, name, {"data": {"k": label}}, namespace="default")
        else:
            await client.update(CONFIGMAPS, {"metadata": meta})
    except StatusError as error:
        assert error.reason == "NotFound"
        if verb == "put":
            await client.create(CONFIGMAPS, {"metadata": meta})


class Mirror:
    """A client that applies a watch to what it listed, and checks each event against what it holds."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.held = {o["metadata"]["name"]: o for o in items}
        self.revision = 0

    def apply(self, line: bytes) -> None:
        event = json.loads(line)
        obj, name = event["object"], event["object"]["metadata"].get("name", "")
        revision = int(obj["metadata"]["resourceVersion"])
        assert revision >= self.revision, "revisions never go back"
        self.revision = revision
        match event["type"]:
            case "ADDED":
                assert name not in self.held
                self.held[name] = obj
            case "MODIFIED":
                assert name in self.held
                self.held[name] = obj
            case "DELETED":
                gone = self.held.pop(name)
                assert gone["metadata"]["uid"] == obj["metadata"]["uid"]
                assert gone["metadata"]["labels"] == obj["metadata"]["labels"], "the state before the change"


@pytest.mark.parametrize("selector", SELECTORS)
@settings(max_examples=40, deadline=None)
@given(before=st.lists(STEP, max_size=8), after=st.lists(STEP, max_size=12))
async def test_list_and_watch_add_up(
    selector: str, before: list[tuple[str, str, str]], after: list[tuple[str, str, str]]
) -> None:
    store = MemoryStore()
    api = Api(store=store, registry=build_registry(), clock=FakeClock())
    client = Client(InProcessTransport(api.handle), identity=WHO)
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    for step in before:
        await write(client, *step)
    query = (("labelSelector", selector),)
    first = json.loads((await api.handle(Request("GET", PATH, query, {}, b"", WHO))).body)
    mirror = Mirror(first["items"])
    half = len(after) // 2
    for step in after[:half]:  # history …
        await write(client, *step)
    asked = (*query, ("watch", "1"), ("resourceVersion", first["metadata"]["resourceVersion"]))
    stream = (await api.handle(Request("GET", PATH, asked, {}, b"", WHO))).stream
    assert stream is not None

    async def read() -> None:
        async for chunk in stream:
            for line in chunk.splitlines():
                mirror.apply(line)

    reading = asyncio.create_task(read())
    for step in after[half:]:  # … and live
        await write(client, *step)
        await settle(3)
    await settle()
    last = json.loads((await api.handle(Request("GET", PATH, query, {}, b"", WHO))).body)
    await store.close()
    await reading
    assert mirror.held == {o["metadata"]["name"]: o for o in last["items"]}
