"""A work queue of keys with per-key back-off, and the loop that reconciles them: what controllers and scheduler share.

Rules of the queue (client-go util/workqueue has the same):

* a key that is waiting is not added again; a key that is being worked on is worked on once more afterwards;
* two workers never hold the same key;
* an ``add`` takes effect at once, even where a back-off of the key is pending.

A reconcile that raises is retried after 5 ms, doubling to 30 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from seamark.client.base import TransportError
from seamark.machinery.clock import Clock
from seamark.machinery.status import StatusError

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_DELAY = 0.005
MAX_DELAY = 30.0


class WorkQueue(Generic[K]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._busy: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, tuple[float, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is being worked on (timers may still run)."""
        return not self._ready and not self._busy

    def add(self, key: K) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._busy:
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Adds the key then; of several times the earliest counts."""
        due = self._clock.monotonic() + seconds
        pending = self._timers.get(key)
        if pending is not None:
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._timers[key] = (due, asyncio.create_task(self._later(key, seconds)))

    def add_rate_limited(self, key: K) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(FIRST_DELAY * 2 ** min(failures, 32), MAX_DELAY))

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure starts from the shortest back-off."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; call ``done`` with it."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: K) -> None:
        self._busy.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake.set()

    def close(self) -> None:
        for _, task in self._timers.values():
            task.cancel()
        self._timers.clear()

    async def _later(self, key: K, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timers.pop(key, None)
        self.add(key)


class Controller(Generic[K]):
    """A queue and the workers that empty it. ``run`` ends when cancelled.

    ``reconcile`` looks at one key; the number it may return is in how many seconds to look again though nothing
    happens.
    """

    def __init__(
        self, name: str, reconcile: Callable[[K], Awaitable[float | None]], *, clock: Clock, workers: int = 2
    ) -> None:
        self.name = name
        self.queue: WorkQueue[K] = WorkQueue(clock)
        self._reconcile = reconcile
        self._workers = workers

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                again = await self._reconcile(key)
            except Exception as error:  # a key that fails must not stop the others
                self._failed(key, error)
            else:
                self.queue.forget(key)
                if again is not None:
                    self.queue.add_after(key, again)
            finally:
                self.queue.done(key)

    def _failed(self, key: K, error: Exception) -> None:
        if is_quiet(error):
            logger.debug("retrying controller=%s key=%s reason=%s", self.name, key, error)
        elif isinstance(error, StatusError | TransportError):
            logger.warning("retrying controller=%s key=%s error=%s", self.name, key, error)
        else:
            logger.error("reconcile failed controller=%s key=%s", self.name, key, exc_info=error)
        self.queue.add_rate_limited(key)


def is_quiet(error: Exception) -> bool:
    """Failures that belong to the game: somebody else was faster, or the namespace is going away."""
    return isinstance(error, StatusError) and (error.code in (404, 409) or is_namespace_ending(error))


def is_namespace_ending(error: StatusError) -> bool:
    causes = error.details.get("causes") or ()
    return error.code == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
