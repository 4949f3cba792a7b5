"""What bounds the memory: history and unread events, in number and in bytes."""

from __future__ import annotations

import asyncio

import pytest

from seamark.store.base import CompactedError
from seamark.store.statelog import WATCH_BYTES, StateLog, Write


def put(log: StateLog, size: int) -> None:
    current = log.get("/a")
    verb, expected = ("update", current.revision) if current else ("create", 0)
    (record,) = log.plan([Write(verb, "/a", b"x" * size, expected)], now=0.0)  # type: ignore[arg-type]
    log.apply([record])  # type: ignore[list-item]


def test_history_is_bounded_in_bytes() -> None:
    log = StateLog(history_bytes=1000)
    for _ in range(50):
        put(log, 100)
        assert log.revision - log.floor <= 10
    assert log.floor > 30
    log.list(prefix="/", revision=log.floor)
    with pytest.raises(CompactedError):
        log.list(prefix="/", revision=log.floor - 1)


def test_one_value_larger_than_all_of_it_is_kept() -> None:
    log = StateLog(history_bytes=10)
    put(log, 100)
    put(log, 100)
    assert (log.revision - log.floor, log.get("/a") is not None) == (1, True)


def test_small_values_are_bounded_in_number_alone() -> None:
    log = StateLog(history=100, history_bytes=1000)
    for _ in range(1000):
        put(log, 1)
    assert 100 <= log.revision - log.floor < 400


def test_what_was_loaded_counts() -> None:
    log, again = StateLog(), StateLog(history_bytes=1000)
    for _ in range(9):
        put(log, 100)
    entry = log.get("/a")
    assert entry is not None
    again.load(entries={"/a": entry}, log=log._log, revision=log.revision, floor=log.floor)
    for _ in range(3):
        put(again, 100)
    assert again.floor > log.floor


async def test_a_watcher_that_does_not_read_is_dropped_by_bytes() -> None:
    log = StateLog()
    slow, quick = log.watch(prefix="/", after=log.revision), log.watch(prefix="/", after=log.revision)
    reading = aiter(quick)
    for _ in range(3):
        put(log, WATCH_BYTES // 3 + 1)
        async with asyncio.timeout(1):
            assert len(await anext(reading)) == 1
    with pytest.raises(CompactedError):
        await anext(aiter(slow))
