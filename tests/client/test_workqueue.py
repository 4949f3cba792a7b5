"""The work queue's rules, and the loop that obeys them; time is a virtual clock's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from seamark.client.workqueue import Controller, WorkQueue
from seamark.machinery.status import StatusError, conflict
from seamark.testing.clock import FakeClock, settle


async def test_waiting_key_is_not_added_twice_and_a_busy_one_comes_again(clock: FakeClock) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 1, "a is being worked on: nobody else may have it"
    assert await queue.get() == "b"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    queue.done("b")
    assert queue.idle


async def test_of_two_times_the_earlier_counts(clock: FakeClock) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 1)
    queue.add_after("a", 5)
    await settle()
    await clock.advance(0.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert len(queue) == 1
    await clock.advance(20)
    assert len(queue) == 1
    queue.close()


async def test_back_off_doubles_per_key_to_its_limit_and_starts_anew_after_success(clock: FakeClock) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    waits = []
    for _ in range(16):
        start = clock.time()
        queue.add_rate_limited("a")
        await settle()
        while not len(queue):
            await clock.advance(0.0025)
            if clock.time() - start > 1:
                await clock.advance(0.5)
        waits.append(clock.time() - start)
        queue.done(await queue.get())
    assert waits[0] == pytest.approx(0.005, abs=0.003)
    assert waits[3] == pytest.approx(0.04, abs=0.003)
    assert waits[-1] == pytest.approx(30, abs=1)
    queue.forget("a")
    queue.add_rate_limited("a")
    await settle()
    await clock.advance(0.005)
    assert len(queue) == 1


Reconcile = Callable[[str], Awaitable[float | None]]


@pytest.fixture
async def start(clock: FakeClock) -> AsyncIterator[Callable[[Reconcile], Controller[str]]]:
    tasks: list[asyncio.Task[Any]] = []

    def begin(reconcile: Reconcile) -> Controller[str]:
        controller = Controller("test", reconcile, clock=clock, workers=2)
        tasks.append(asyncio.create_task(controller.run()))
        return controller

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_conflict_is_retried_without_a_word_and_a_defect_with_one(
    start: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception | None] = [
        conflict("pods", "a"),
        StatusError(500, "InternalError", "disk"),
        KeyError("x"),
        None,
    ]
    seen = []

    async def reconcile(key: str) -> None:
        seen.append(key)
        failure = failures[len(seen) - 1]
        if failure is not None:
            raise failure

    with caplog.at_level(logging.WARNING):
        controller = start(reconcile)
        controller.queue.add("a")
        await settle()
        for delay, count in ((0.005, 2), (0.01, 3), (0.02, 4)):
            await clock.advance(delay * 0.9)
            assert len(seen) == count - 1
            await clock.advance(delay * 0.11)
            assert len(seen) == count
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


async def test_failing_key_does_not_hold_up_the_others(start: Any, clock: FakeClock) -> None:
    seen = []

    async def reconcile(key: str) -> None:
        seen.append(key)
        if key == "bad":
            raise conflict("pods", "bad")

    controller = start(reconcile)
    controller.queue.add("bad")
    controller.queue.add("good")
    await settle()
    assert seen == ["bad", "good"]


async def test_reconcile_may_ask_to_be_called_again(start: Any, clock: FakeClock) -> None:
    seen = []

    async def reconcile(key: str) -> float | None:
        seen.append(clock.time())
        return 7.0 if len(seen) == 1 else None

    controller = start(reconcile)
    controller.queue.add("a")
    await settle()
    await clock.advance(100)
    assert [at - seen[0] for at in seen] == [0, 7]


async def test_two_workers_never_have_the_same_key(start: Any, clock: FakeClock) -> None:
    running: set[str] = set()
    count = 0

    async def reconcile(key: str) -> None:
        nonlocal count
        assert key not in running
        running.add(key)
        for _ in range(3):
            await asyncio.sleep(0)
        running.discard(key)
        count += 1

    controller = start(reconcile)
    for _ in range(20):
        controller.queue.add("a")
        await asyncio.sleep(0)
    await settle()
    assert 2 <= count <= 20
