"""The store contract (store/base.py), as cases that every driver must pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.store.base import (
    CompactedError,
    Event,
    FutureRevisionError,
    KeyExistsError,
    RevisionMismatchError,
    Store,
    Watch,
)
from seamark.store.memory import MemoryStore
from seamark.store.sqlite import SqliteStore

DRIVERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(now=lambda: 7.0),
    "sqlite": lambda path: SqliteStore(path / "registry.db", now=lambda: 7.0),
}


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = DRIVERS[request.param](tmp_path)
    yield made
    await made.close()


async def take(watch: Watch, count: int) -> list[Event]:
    """Exactly the next ``count`` events; fails rather than hangs when they do not come."""
    found: list[Event] = []
    async with asyncio.timeout(5):
        async for batch in watch:
            found += batch
            if len(found) >= count:
                break
    return found


async def test_empty_store_is_at_revision_one(store: Store) -> None:
    assert await store.revision() == 1
    assert await store.get(key="/a") is None
    page = await store.list(prefix="/")
    assert (page.entries, page.revision, page.remaining) == ((), 1, 0)


async def test_each_write_takes_the_next_revision(store: Store) -> None:
    made = await store.create(key="/a", value=b"1")
    assert (made.revision, made.created, made.value) == (2, 2, b"1")
    changed = await store.update(key="/a", value=b"2", expected=2)
    assert (changed.revision, changed.created, changed.value) == (3, 2, b"2")
    gone = await store.delete(key="/a", expected=3)
    assert gone == Event("/a", 4, None, b"2", 7.0)
    assert await store.get(key="/a") is None
    assert await store.revision() == 4


async def test_created_again_is_new(store: Store) -> None:
    await store.create(key="/a", value=b"1")
    await store.delete(key="/a", expected=2)
    assert (await store.create(key="/a", value=b"1")).created == 4


async def test_failed_writes_move_nothing(store: Store) -> None:
    await store.create(key="/a", value=b"1")
    with pytest.raises(KeyExistsError):
        await store.create(key="/a", value=b"2")
    with pytest.raises(RevisionMismatchError) as stale:
        await store.update(key="/a", value=b"2", expected=1)
    assert stale.value.current is not None and stale.value.current.revision == 2
    with pytest.raises(RevisionMismatchError):
        await store.delete(key="/a", expected=9)
    with pytest.raises(RevisionMismatchError) as missing:
        await store.update(key="/b", value=b"2", expected=2)
    assert missing.value.current is None
    with pytest.raises(RevisionMismatchError):
        await store.delete(key="/b", expected=2)
    assert await store.revision() == 2
    found = await store.get(key="/a")
    assert found is not None and found.value == b"1"


async def test_concurrent_writes_are_all_taken_once(store: Store) -> None:
    made = await asyncio.gather(*(store.create(key=f"/n/{i:03}", value=b"x") for i in range(100)))
    assert sorted(e.revision for e in made) == list(range(2, 102))
    racing = await asyncio.gather(
        *(store.update(key="/n/000", value=b"%d" % i, expected=made[0].revision) for i in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, RevisionMismatchError) for r in racing) == 19
    assert await store.revision() == 102


async def test_list_is_in_key_order_and_pages_follow(store: Store) -> None:
    for name in ("/p/b", "/p/a", "/q/x", "/p/c", "/p", "/pp"):
        await store.create(key=name, value=b"")
    first = await store.list(prefix="/p/", limit=2)
    assert [e.key for e in first.entries] == ["/p/a", "/p/b"]
    assert first.remaining == 1
    rest = await store.list(prefix="/p/", after="/p/b", limit=2)
    assert [e.key for e in rest.entries] == ["/p/c"]
    assert rest.remaining == 0


async def test_list_at_a_revision_is_the_past(store: Store) -> None:
    a = await store.create(key="/p/a", value=b"1")
    await store.create(key="/p/b", value=b"1")
    await store.update(key="/p/a", value=b"2", expected=a.revision)
    await store.delete(key="/p/b", expected=3)
    await store.create(key="/p/c", value=b"1")
    past = await store.list(prefix="/p/", revision=3)
    assert [(e.key, e.value, e.revision, e.created) for e in past.entries] == [
        ("/p/a", b"1", 2, 2),
        ("/p/b", b"1", 3, 3),
    ]
    assert past.revision == 3
    page = await store.list(prefix="/p/", revision=3, after="/p/a", limit=1)
    assert [e.key for e in page.entries] == ["/p/b"]
    assert (await store.list(prefix="/p/", revision=1)).entries == ()


async def test_watch_gives_history_then_live_without_a_gap(store: Store) -> None:
    await store.create(key="/p/a", value=b"1")
    await store.create(key="/q/a", value=b"1")
    await store.create(key="/p/b", value=b"1")
    watch = store.watch(prefix="/p/", after=2)
    writing = asyncio.create_task(store.update(key="/p/a", value=b"2", expected=2))
    events = await take(watch, 2)
    await writing
    assert [(e.key, e.revision, e.value, e.previous) for e in events] == [
        ("/p/b", 4, b"1", None),
        ("/p/a", 5, b"2", b"1"),
    ]
    watch.close()


async def test_watch_ends_when_closed(store: Store) -> None:
    watch = store.watch(prefix="/", after=1)

    async def drain() -> int:
        return sum([len(batch) async for batch in watch])

    reading = asyncio.create_task(drain())
    await asyncio.sleep(0)
    watch.close()
    async with asyncio.timeout(5):
        assert await reading == 0


async def test_compaction_keeps_values_and_refuses_the_past(store: Store) -> None:
    for i in range(5):
        await store.create(key=f"/{i}", value=b"%d" % i)
    await store.compact(revision=4)
    assert len((await store.list(prefix="/")).entries) == 5
    with pytest.raises(CompactedError) as old:
        store.watch(prefix="/", after=3)
    assert str(old.value) == "too old resource version: 3 (4)"
    with pytest.raises(CompactedError):
        await store.list(prefix="/", revision=3)
    assert len((await store.list(prefix="/", revision=4)).entries) == 3
    watch = store.watch(prefix="/", after=4)
    assert [e.revision for e in await take(watch, 2)] == [5, 6]
    watch.close()


async def test_the_future_is_refused(store: Store) -> None:
    with pytest.raises(FutureRevisionError):
        store.watch(prefix="/", after=2)
    with pytest.raises(FutureRevisionError):
        await store.list(prefix="/", revision=2)


async def test_a_watcher_that_reads_nothing_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.store.statelog.WATCH_BUFFER", 3)
    watch = store.watch(prefix="/", after=1)
    for i in range(4):
        await store.create(key=f"/{i}", value=b"")
    with pytest.raises(CompactedError):
        await take(watch, 1)
    watch.close()


async def test_event_time_is_the_commit(store: Store) -> None:
    watch = store.watch(prefix="/", after=1)
    await store.create(key="/a", value=b"")
    assert [e.time for e in await take(watch, 1)] == [7.0]
    watch.close()


KEYS = st.sampled_from(["/a", "/b", "/c"])


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(KEYS, st.sampled_from(["put", "delete"])), max_size=30), asked=st.integers(1, 31))
async def test_history_is_the_state_that_was(steps: list[tuple[str, str]], asked: int) -> None:
    """A list at a revision equals a snapshot taken then, and the watch from there rebuilds the present."""
    store = MemoryStore(now=lambda: 0.0)
    snapshots: dict[int, dict[str, bytes]] = {1: {}}
    state: dict[str, bytes] = {}
    for number, (key, verb) in enumerate(steps):
        current = await store.get(key=key)
        value = b"%d" % number
        if verb == "delete":
            if current is None:
                continue
            await store.delete(key=key, expected=current.revision)
            del state[key]
        elif current is None:
            await store.create(key=key, value=value)
            state[key] = value
        else:
            await store.update(key=key, value=value, expected=current.revision)
            state[key] = value
        snapshots[await store.revision()] = dict(state)
    if asked not in snapshots:
        return
    past = await store.list(prefix="/", revision=asked)
    rebuilt = {e.key: e.value for e in past.entries}
    assert rebuilt == snapshots[asked]
    watch = store.watch(prefix="/", after=asked)
    missing = await store.revision() - asked
    for event in await take(watch, missing) if missing else []:
        assert event.previous == rebuilt.get(event.key)
        if event.value is None:
            del rebuilt[event.key]
        else:
            rebuilt[event.key] = event.value
    assert rebuilt == state
    watch.close()


async def test_what_has_come_can_be_taken_without_waiting(store: Store) -> None:
    watch = store.watch(prefix="/a/", after=await store.revision())
    assert watch.take() == ()
    made = await store.create(key="/a/x", value=b"1")
    await store.create(key="/b/x", value=b"1")
    assert [(e.key, e.revision) for e in watch.take()] == [("/a/x", made.revision)]
    assert watch.take() == ()
    await store.delete(key="/a/x", expected=made.revision)
    assert [(e.key, e.value) for e in watch.take()] == [("/a/x", None)]
    watch.close()
