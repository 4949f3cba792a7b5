"""A clock that moves only when told: ``advance`` wakes the sleepers whose time has come, in order."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class FakeClock:
    """Starts at ``start`` Unix seconds; ``monotonic`` moves together with ``time``."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._serial), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Moves time forward, waking each sleeper at its own moment and letting what it wakes run."""
        target = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now = target
        await settle()


async def settle(rounds: int = 20) -> None:
    """Lets everything that is ready to run, run."""
    for _ in range(rounds):
        await asyncio.sleep(0)
