"""The machine's own clock, as production passes it (tests pass ``seamark.testing.clock.FakeClock``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)
