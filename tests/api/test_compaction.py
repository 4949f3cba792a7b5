"""History goes when it is between one and two intervals old."""

from __future__ import annotations

import asyncio

import pytest

from seamark.api.compaction import compact_periodically
from seamark.store.base import CompactedError
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock


async def test_history_lives_for_an_interval() -> None:
    store, clock = MemoryStore(), FakeClock()
    task = asyncio.create_task(compact_periodically(store, clock=clock, interval=300))
    await clock.advance(0)
    old = (await store.create(key="/a", value=b"1")).revision
    await store.create(key="/b", value=b"1")
    await clock.advance(300)
    store.watch(prefix="/", after=old).close()
    assert len((await store.list(prefix="/", revision=old)).entries) == 1
    await clock.advance(300)
    with pytest.raises(CompactedError):
        store.watch(prefix="/", after=old)
    assert len((await store.list(prefix="/")).entries) == 2
    task.cancel()
    await store.close()
