"""The informer against the real API application: compaction, selectors, own writes."""

from __future__ import annotations

import asyncio
from typing import Any

from seamark.client.client import Client
from seamark.client.informer import Informer
from seamark.machinery.gvr import CONFIGMAPS
from seamark.model.meta import Object
from seamark.testing.clock import FakeClock, settle


def configmap(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
    }


async def test_cache_follows_the_api(client: Client, clock: FakeClock) -> None:
    informer: Informer[Object] = Informer(
        client, CONFIGMAPS, Object, clock=clock, namespace="default", label_selector="a=b"
    )
    log: list[str] = []
    informer.on_change(lambda old, new, seen: log.append(f"{'+' if new else '-'}{(new or old).metadata.name}"))  # type: ignore[union-attr]
    task = asyncio.create_task(informer.run())
    await client.create(CONFIGMAPS, configmap("one", a="b"))
    await informer.wait_synced()
    await client.create(CONFIGMAPS, configmap("two", a="b"))
    await client.create(CONFIGMAPS, configmap("other", a="c"))
    await client.patch(CONFIGMAPS, "one", {"metadata": {"labels": {"a": "c"}}}, namespace="default")
    await client.delete(CONFIGMAPS, "two", namespace="default")
    await settle(200)
    assert log == ["+one", "+two", "-one", "-two"], "leaving the selector is going"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_own_write_is_in_the_cache_before_the_watch_brings_it(client: Client, clock: FakeClock) -> None:
    informer: Informer[Object] = Informer(client, CONFIGMAPS, Object, clock=clock)
    log: list[str] = []
    informer.on_change(lambda old, new, seen: log.append((new or old).metadata.name))  # type: ignore[union-attr]
    task = asyncio.create_task(informer.run())
    await informer.wait_synced()
    await settle(50)
    made = await client.create(CONFIGMAPS, configmap("mine"))
    informer.observe(made)
    assert log == ["mine"]
    await settle(200)
    assert log == ["mine"], "and once only"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
