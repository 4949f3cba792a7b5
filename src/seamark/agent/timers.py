"""Waiting by the clock parameter: an alarm that an event or a moment rings, and a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Alarm:
    """``wait`` returns when somebody rang since the last wait, or when the moment has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, until: float | None) -> None:
        """``until`` is Unix seconds; None = only a ring ends the wait."""
        if until is None:
            await self._rung.wait()
        elif not self._rung.is_set():
            await _first(self._rung.wait(), self._clock.sleep(until - self._clock.time()))
        self._rung.clear()


async def attempt(what: str, work: Awaitable[None]) -> None:
    """What is done again and again beside the pods must not end them: a round that fails is logged."""
    try:
        await work
    except Exception:
        logger.exception("%s failed; tried again later", what)


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """The result of ``work``, or TimeoutError after ``seconds`` by the clock; the work is cancelled then."""
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        await cancel(task, timer)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancels and waits until each has really ended; what it ended with is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*tasks)
