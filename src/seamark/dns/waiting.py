"""Waiting with an end, by the clock that was given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from seamark.machinery.clock import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, wanted: Awaitable[T]) -> T:
    """What ``wanted`` gives, if it does so in time. Raises TimeoutError after cancelling it."""
    task = asyncio.ensure_future(wanted)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError(f"no answer within {seconds:g}s")
    finally:
        for each in (task, alarm):
            if not each.done():
                each.cancel()
            elif not each.cancelled():
                each.exception()  # it may have failed in the very moment in which we were cancelled
