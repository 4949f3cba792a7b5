"""Waiting with an end, by the clock that was given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from seamark.machinery.clock import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, wanted: Awaitable[T]) -> T:
    """What ``wanted`` gives, if it does so in time. Raises TimeoutError after cancelling it."""
    limit = asyncio.timeout(None)
    alarm = clock.call_later(seconds, lambda: limit.reschedule(0))
    try:
        async with limit:
            return await wanted
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"no answer within {seconds:g}s") from error
        raise
    finally:
        alarm.cancel()
