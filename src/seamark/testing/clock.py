"""A clock that moves only when told: ``advance`` wakes the sleepers whose time has come, in order."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable


class _Alarm:
    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring = ring

    def cancel(self) -> None:
        self.ring = _nothing


class FakeClock:
    """Starts at ``start`` Unix seconds; ``monotonic`` moves together with ``time``."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._alarms: list[tuple[float, int, _Alarm]] = []
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
        self.call_later(seconds, lambda: None if future.done() else future.set_result(None))
        await future

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(callback)
        heapq.heappush(self._alarms, (self._now + max(seconds, 0), next(self._serial), alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        """Moves time forward, waking each sleeper at its own moment and letting what it wakes run."""
        target = self._now + seconds
        while self._alarms and self._alarms[0][0] <= target:
            due, _, alarm = heapq.heappop(self._alarms)
            self._now = max(self._now, due)
            alarm.ring()
            await settle()
        self._now = target
        await settle()


def _nothing() -> None:
    pass


async def settle(rounds: int = 20) -> None:
    """Lets everything that is ready to run, run."""
    for _ in range(rounds):
        await asyncio.sleep(0)
