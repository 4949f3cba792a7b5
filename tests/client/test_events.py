"""Events as `kubectl describe` shows them, through the real API in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.machinery.gvr import EVENTS_V1, NODES, PODS
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.testing.builders import as_kind, make_node, make_pod
from seamark.testing.clock import FakeClock, settle

POD = as_kind(Pod, make_pod("web"))


@pytest.fixture
async def recorder(client: Client, clock: FakeClock) -> AsyncIterator[EventRecorder]:
    found = EventRecorder(client, clock=clock, random_bits=random.Random(1).getrandbits)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def events(client: Client) -> list[dict[str, Any]]:
    await settle(100)
    return await client.list(EVENTS_V1, namespace="default")


async def test_event_names_object_reason_and_source(recorder: EventRecorder, client: Client) -> None:
    recorder.record("default-scheduler", PODS, POD, "Scheduled", "Successfully assigned default/web to a")
    (event,) = await events(client)
    assert event["involvedObject"]["name"] == "web"
    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("Pod", "uid-web")
    assert (event["reason"], event["type"], event["count"]) == ("Scheduled", "Normal", 1)
    assert event["source"]["component"] == "default-scheduler"
    assert event["metadata"]["name"].startswith("web.")


async def test_same_event_again_is_counted(recorder: EventRecorder, client: Client, clock: FakeClock) -> None:
    for _ in range(3):
        recorder.record("x", PODS, POD, "BackOff", "again", warning=True)
        await clock.advance(10)
    (event,) = await events(client)
    assert (event["count"], event["type"]) == (3, "Warning")
    assert event["firstTimestamp"] < event["lastTimestamp"]


async def test_another_message_or_a_long_time_makes_another_event(
    recorder: EventRecorder, client: Client, clock: FakeClock
) -> None:
    recorder.record("x", PODS, POD, "BackOff", "one")
    recorder.record("x", PODS, POD, "BackOff", "two")
    await settle(100)
    await clock.advance(601)
    recorder.record("x", PODS, POD, "BackOff", "one")
    assert len(await events(client)) == 3


async def test_deleted_event_is_written_anew(recorder: EventRecorder, client: Client) -> None:
    recorder.record("x", PODS, POD, "BackOff", "again")
    (event,) = await events(client)
    await client.delete(EVENTS_V1, event["metadata"]["name"], namespace="default")
    recorder.record("x", PODS, POD, "BackOff", "again")
    (event,) = await events(client)
    assert event["count"] == 1


async def test_cluster_scoped_objects_have_theirs_in_default(recorder: EventRecorder, client: Client) -> None:
    recorder.record("x", NODES, as_kind(Node, make_node("n1")), "NodeNotReady", "gone")
    (event,) = await events(client)
    assert event["metadata"]["namespace"] == "default"


async def test_refused_event_harms_nobody(recorder: EventRecorder, client: Client) -> None:
    recorder.record("x", PODS, as_kind(Pod, make_pod("a", namespace="nowhere")), "Lost", "no such namespace")
    recorder.record("x", PODS, POD, "Kept", "after it")
    assert [e["reason"] for e in await events(client)] == ["Kept"]


async def test_what_several_tell_alike_is_one_event(client: Client, clock: FakeClock) -> None:
    told = [EventRecorder(client, clock=clock, host=f"node{n}") for n in range(3)]
    running = [asyncio.create_task(one.run()) for one in told]
    for one in told:
        one.record("kube-proxy", PODS, POD, "Same", "everywhere", shared=True)
        one.record("kube-proxy", PODS, POD, "Own", "here")
    found = await events(client)
    assert sorted(event["reason"] for event in found) == ["Own", "Own", "Own", "Same"]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
