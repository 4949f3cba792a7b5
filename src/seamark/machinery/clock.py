"""The clock as a parameter (DESIGN §4.3): everything that waits or dates takes one of these.

``time()`` is Unix seconds (wall), ``monotonic()`` seconds for intervals. Production passes ``SystemClock`` from
the composition root; tests pass ``seamark.testing.clock.FakeClock``, whose ``sleep`` returns when time is moved.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        """For waits that hardly ever last: an alarm costs a fraction of a task that sleeps."""
        ...


def format_time(unix: float) -> str:
    """metav1.Time: RFC 3339, whole seconds, UTC: ``2026-11-24T09:50:00Z``."""
    return datetime.fromtimestamp(int(unix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(unix: float) -> str:
    """metav1.MicroTime: always six digits: ``2026-11-24T09:50:00.000000Z``."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """RFC 3339 text as Unix seconds. Raises ValueError for anything else."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
