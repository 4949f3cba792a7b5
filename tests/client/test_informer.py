"""The informer against a scripted server: every way a list and a watch can go, told as what the handlers saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.informer import Informer, RawObject
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Response
from seamark.model.meta import Object, ObjectKey
from seamark.model.pod import Pod
from seamark.testing.clock import FakeClock, settle


class Running:
    """An informer at work and the log of what it told: ``+a@1`` added, ``a@1>2`` changed, ``-a`` deleted."""

    def __init__(self, client: Client, kind: type[Any] = Pod, **options: Any) -> None:
        self.clock = FakeClock()
        self.informer: Informer[Any] = Informer(client, PODS, kind, clock=self.clock, **options)
        self.log: list[str] = []
        self.informer.on_change(self._note)

    def _note(self, old: Object | None, new: Object | None, seen: float) -> None:
        assert seen == self.clock.time()
        if old is None and new is not None:
            self.log.append(f"+{new.metadata.name}@{new.metadata.resource_version}")
        elif new is None and old is not None:
            self.log.append(f"-{old.metadata.name}")
        elif old is not None and new is not None:
            self.log.append(f"{old.metadata.name}@{old.metadata.resource_version}>{new.metadata.resource_version}")

    def told(self) -> list[str]:
        told, self.log = self.log, []
        return told

    def names(self) -> list[str]:
        return sorted(key.name for key in self.informer.items)


@pytest.fixture
async def running(scripted: Client) -> AsyncIterator[Running]:
    found = Running(scripted)
    task = asyncio.create_task(found.informer.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_lists_then_watches_from_the_lists_revision(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7, make_pod("a", 3), make_pod("b", 5))
    assert not running.informer.synced
    await running.informer.wait_synced()
    await settle()
    assert running.told() == ["+a@3", "+b@5"]
    assert server.watches[0].request.param("resourceVersion") == "7"
    assert server.watches[0].request.param("allowWatchBookmarks") == "true"
    server.watches[0].send("ADDED", make_pod("c", 8))
    server.watches[0].send("MODIFIED", make_pod("a", 9))
    server.watches[0].send("DELETED", make_pod("b", 10))
    await settle()
    assert running.told() == ["+c@8", "a@3>9", "-b"]
    assert running.names() == ["a", "c"]
    assert running.informer.last_revision == "10"


async def test_bookmark_moves_the_revision_and_tells_nobody(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    server.watches[0].send("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "40"}})
    server.watches[0].end()
    await settle()
    assert running.told() == []
    assert server.watches[1].request.param("resourceVersion") == "40"


async def test_broken_stream_is_watched_again_from_the_last_revision(
    server: Any, make_pod: Any, running: Running
) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    server.watches[0].send("MODIFIED", make_pod("a", 9))
    server.watches[0].snap()
    await settle()
    assert len(server.watches) == 1, "backs off before it tries again"
    await running.clock.advance(0.05)
    assert server.watches[1].request.param("resourceVersion") == "9"
    assert len(server.requests) == 3, "no list: nothing was lost"


@pytest.mark.parametrize("as_event", [True, False], ids=["error-event", "http-410"])
async def test_expired_revision_relists_and_tells_only_the_difference(
    server: Any, make_pod: Any, running: Running, as_event: bool
) -> None:
    server.list(7, make_pod("a", 3), make_pod("b", 5), make_pod("c", 6))
    await running.informer.wait_synced()
    await settle()
    running.told()
    server.list(20, make_pod("a", 3), make_pod("b", 15), make_pod("d", 16))
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 7 (19)"}
    if as_event:
        server.watches[0].send("ERROR", status)
    else:
        server.watches[0].send_bytes(b'{"type":"ERROR","object":' + msgspec.json.encode(status) + b"}\n")
    await settle()
    assert running.told() == ["b@5>15", "+d@16", "-c"]
    assert server.watches[1].request.param("resourceVersion") == "20"


async def test_recreated_object_is_told_as_deleted_and_added(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    running.told()
    server.list(20, make_pod("a", 15, uid="another"))
    server.watches[0].send("ERROR", {"code": 410, "message": "too old"})
    await settle()
    assert running.told() == ["-a", "+a@15"]


async def test_too_large_revision_waits_as_asked_and_keeps_the_cache(
    server: Any, make_pod: Any, running: Running
) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    too_large = {"code": 504, "reason": "Timeout", "message": "Too large resource version: 7, current: 5"}
    server.watches[0].send("ERROR", {**too_large, "details": {"retryAfterSeconds": 1}})
    await settle()
    await running.clock.advance(0.9)
    assert len(server.watches) == 1
    await running.clock.advance(0.2)
    assert server.watches[1].request.param("resourceVersion") == "7"
    assert running.names() == ["a"]


async def test_unreachable_server_is_asked_ever_more_rarely_until_it_answers(
    server: Any, make_pod: Any, running: Running
) -> None:
    server.answer(TransportError("refused"))
    server.answer(Response(503, b'{"code":503,"message":"starting"}'))
    server.answer(TransportError("refused"))
    server.list(7, make_pod("a", 3))
    await settle()
    for delay, requests in ((0.05, 2), (0.1, 3), (0.2, 4)):
        await running.clock.advance(delay - 0.01)
        assert len(server.requests) == requests - 1
        await running.clock.advance(0.01)
        assert len(server.requests) >= requests
    assert running.informer.synced


async def test_malformed_object_spoils_only_itself(server: Any, make_pod: Any, running: Running) -> None:
    bad = make_pod("bad", 4)
    bad["spec"] = {"nodeName": 7}
    server.list(7, make_pod("a", 3), bad)
    await running.informer.wait_synced()
    await settle()
    assert running.told() == ["+a@3"]
    assert running.informer.malformed == 1
    spoilt = make_pod("a", 9)
    spoilt["status"] = {"phase": ["?"]}
    server.watches[0].send("MODIFIED", spoilt)
    server.watches[0].send("ADDED", {"metadata": "none"})
    server.watches[0].send("ADDED", make_pod("b", 10))
    await settle()
    assert running.told() == ["+b@10"]
    assert running.informer.items[ObjectKey("default", "a")].metadata.resource_version == "3", "the last good one stays"
    assert running.informer.malformed == 3


async def test_malformed_object_is_still_deleted(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    running.told()
    server.watches[0].send("DELETED", {**make_pod("a", 9), "spec": []})
    await settle()
    assert running.told() == ["-a"]


async def test_failing_handler_stops_neither_the_others_nor_the_watch(
    server: Any, make_pod: Any, running: Running
) -> None:
    informer = running.informer
    seen: list[str] = []

    def fail(old: Object | None, new: Object | None, at: float) -> None:
        raise RuntimeError("handler")

    informer.on_change(fail)
    informer.on_change(lambda old, new, at: seen.append(new.metadata.name))
    server.list(7, make_pod("a", 3), make_pod("b", 4))
    await informer.wait_synced()
    assert seen == ["a", "b"]


async def test_late_handler_hears_of_what_is_already_there(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    seen: list[str] = []
    running.informer.on_change(lambda old, new, at: seen.append(new.metadata.name))
    assert seen == ["a"]


async def test_event_split_over_chunks_is_one_event(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    line = msgspec.json.encode({"type": "ADDED", "object": make_pod("a", 9)}) + b"\n"
    for cut in range(len(line)):
        server.watches[0].send_bytes(line[cut : cut + 1])
    await settle(len(line) + 20)
    assert running.told() == ["+a@9"]


async def test_own_write_is_seen_at_once_and_told_once(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    running.told()
    running.informer.observe(make_pod("new", 8))
    assert running.told() == ["+new@8"]
    server.watches[0].send("ADDED", make_pod("new", 8))
    server.watches[0].send("MODIFIED", make_pod("new", 9))
    await settle()
    assert running.told() == ["new@8>9"]


async def test_own_write_that_the_watch_has_overtaken_does_not_rise_again(
    server: Any, make_pod: Any, running: Running
) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    server.watches[0].send("ADDED", make_pod("new", 8))
    server.watches[0].send("DELETED", make_pod("new", 9))
    await settle()
    running.told()
    running.informer.observe(make_pod("new", 8))
    assert running.told() == []
    assert running.names() == []


async def test_forgotten_object_ignores_late_events_until_its_own_end(
    server: Any, make_pod: Any, running: Running
) -> None:
    server.list(7, make_pod("a", 3))
    await running.informer.wait_synced()
    await settle()
    running.told()
    running.informer.forget(ObjectKey("default", "a"), "uid-a")
    assert running.told() == ["-a"]
    server.watches[0].send("MODIFIED", make_pod("a", 8))
    server.watches[0].send("DELETED", make_pod("a", 9))
    server.watches[0].send("ADDED", make_pod("a", 10, uid="another"))
    await settle()
    assert running.told() == ["+a@10"]


async def test_relist_keeps_what_was_observed_after_it(server: Any, make_pod: Any, running: Running) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    running.informer.observe(make_pod("new", 30))
    server.list(20)
    server.watches[0].send("ERROR", {"code": 410, "message": "too old"})
    await settle()
    assert running.told() == ["+new@30"]
    assert running.names() == ["new"]


async def test_raw_object_keeps_the_whole(server: Any, make_pod: Any, scripted: Client) -> None:
    whole = {**make_pod("a", 3), "spec": {"anything": [1, None]}}
    server.list(7, whole)
    running = Running(
        scripted, RawObject, namespace="default", label_selector="app=x", field_selector="spec.nodeName=n"
    )
    task = asyncio.create_task(running.informer.run())
    await running.informer.wait_synced()
    found = running.informer.items[ObjectKey("default", "a")]
    assert found.as_dict() == whole
    assert server.requests[0].path == "/api/v1/namespaces/default/pods"
    assert server.requests[0].query == (("labelSelector", "app=x"), ("fieldSelector", "spec.nodeName=n"))
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert server.watches[0].closed, "a cancelled informer closes its stream"


async def test_watch_that_ends_after_its_time_is_renewed_at_once(server: Any, running: Running) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    for count in range(1, 12):
        await running.clock.advance(540)
        server.watches[-1].end()
        await settle()
        assert len(server.watches) == count + 1, "a quiet collection must not be blind for a moment"


async def test_server_that_closes_every_watch_at_once_is_not_hammered(server: Any, running: Running) -> None:
    server.list(7)
    await running.informer.wait_synced()
    await settle()
    for delay in (0.05, 0.1, 0.2):
        before = len(server.watches)
        server.watches[-1].end()
        await settle()
        await running.clock.advance(delay * 0.9)
        assert len(server.watches) == before
        await running.clock.advance(delay * 0.2)
        assert len(server.watches) == before + 1


def page(revision: int, token: str, *items: Any) -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"resourceVersion": str(revision), "continue": token}, "items": items}


async def test_pages_are_one_list_and_the_next_is_asked_for_before_one_is_told(
    server: Any, make_pod: Any, scripted: Client
) -> None:
    asked: list[str] = []
    running = Running(scripted, page=1)
    running.informer.on_change(lambda *_: asked.append(server.requests[-1].param("continue")))
    server.answer(page(7, "two", make_pod("a", 3)))
    server.answer(page(9, "three", make_pod("b", "4", labels=[])))  # malformed: read object by object
    server.answer(page(9, "", make_pod("c", 5)))
    task = asyncio.create_task(running.informer.run())
    await running.informer.wait_synced()
    await settle()
    assert running.told() == ["+a@3", "+c@5"]
    assert asked == ["two", "three"]
    assert running.informer.malformed == 1
    assert server.watches[0].request.param("resourceVersion") == "7"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_list_whose_second_page_has_expired_begins_again(server: Any, make_pod: Any, scripted: Client) -> None:
    running = Running(scripted, page=1)
    server.answer(page(7, "two", make_pod("a", 3)))
    server.answer(StatusError(410, "Expired", "the provided continue parameter is too old"))
    server.list(9, make_pod("b", 8))
    task = asyncio.create_task(running.informer.run())
    await settle()
    assert not running.informer.synced
    await running.clock.advance(1)
    await settle()
    assert running.told() == ["+a@3", "+b@8", "-a"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_server_that_does_not_know_a_narrowing_is_asked_without(server: Any, scripted: Client) -> None:
    selectors = {"label_selector": "a=b", "field_selector": "metadata.name=x", "narrowing": "spec.some!=None"}
    informer: Informer[Pod] = Informer(scripted, PODS, Pod, clock=FakeClock(), **selectors)
    task = asyncio.create_task(informer.run())
    server.answer(StatusError(400, "BadRequest", '"spec.some" is not a known field selector'))
    server.list(3)
    await settle()
    asked = [request.param("fieldSelector") for request in server.requests]
    assert asked == ["metadata.name=x,spec.some!=None", "metadata.name=x", "metadata.name=x"]
    assert informer.synced
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
