"""The index holds what the informer holds, by value, through every change."""

from __future__ import annotations

import asyncio
from typing import Any

from seamark.client.client import Client
from seamark.client.index import Index
from seamark.client.informer import Informer
from seamark.machinery.gvr import PODS
from seamark.model.pod import Pod
from seamark.testing.clock import FakeClock, settle


async def test_objects_move_between_values(server: Any, scripted: Client, make_pod: Any) -> None:
    informer: Informer[Pod] = Informer(scripted, PODS, Pod, clock=FakeClock())
    index = Index(informer, lambda pod: pod.labels.items())
    task = asyncio.create_task(informer.run())
    server.list(5, make_pod("a", 1, labels={"app": "web", "tier": "x"}), make_pod("b", 2, labels={"app": "web"}))
    await informer.wait_synced()
    await settle()
    assert [p.metadata.name for p in index.get(("app", "web"))] == ["a", "b"]
    assert index.count(("tier", "x")) == 1
    server.watches[0].send("MODIFIED", make_pod("a", 6, labels={"app": "db"}))
    server.watches[0].send("DELETED", make_pod("b", 7, labels={"app": "web"}))
    await settle()
    assert index.get(("app", "web")) == []
    assert index.count(("tier", "x")) == 0
    assert [key.name for key in index.keys(("app", "db"))] == ["a"]
    assert index.get(("app", "db"))[0].metadata.resource_version == "6", "always the newest"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
