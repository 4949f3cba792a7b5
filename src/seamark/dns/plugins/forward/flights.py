"""Equal questions share one exchange (single flight): a crowd that asks for one name costs one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """What is under way, by key. It goes on for those who still wait when one of them gives up."""

    def __init__(self) -> None:
        self._running: dict[bytes, asyncio.Future[T]] = {}

    async def join(self, key: bytes, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """What ``make`` gives, or what it gave to whoever asked first, and whether that was oneself."""
        running = self._running.get(key)
        is_first = running is None
        if running is None:
            running = self._running[key] = asyncio.ensure_future(make())
            running.add_done_callback(lambda ended: self._end(key, ended))
        return await asyncio.shield(running), is_first

    def _end(self, key: bytes, ended: asyncio.Future[T]) -> None:
        self._running.pop(key, None)
        if not ended.cancelled():
            ended.exception()  # seen, also where nobody waits any more

    def close(self) -> None:
        for task in list(self._running.values()):
            task.cancel()
