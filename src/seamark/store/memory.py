"""The store in memory alone: for tests and for clusters that need not outlive their process.

Durable means nothing here, so a write is planned and applied in one step; everything else is ``StateLog``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from seamark.store.base import Entry, Event, Page, StoreError
from seamark.store.statelog import HISTORY, LogWatch, Record, StateLog, Write


class MemoryStore:
    """Satisfies ``store.base.Store``. ``now`` dates the events."""

    def __init__(self, *, now: Callable[[], float] = time.time, history: int = HISTORY) -> None:
        self._log = StateLog(history=history)
        self._now = now

    async def get(self, *, key: str) -> Entry | None:
        return self._log.get(key)

    async def list(self, *, prefix: str, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        return self._log.list(prefix=prefix, after=after, limit=limit, revision=revision)

    async def create(self, *, key: str, value: bytes) -> Entry:
        record = self._write(Write("create", key, value, 0))
        assert record.after is not None
        return record.after

    async def update(self, *, key: str, value: bytes, expected: int) -> Entry:
        record = self._write(Write("update", key, value, expected))
        assert record.after is not None
        return record.after

    async def delete(self, *, key: str, expected: int) -> Event:
        return self._write(Write("delete", key, None, expected)).event

    def watch(self, *, prefix: str, after: int) -> LogWatch:
        return self._log.watch(prefix=prefix, after=after)

    async def revision(self) -> int:
        return self._log.revision

    async def compact(self, *, revision: int) -> None:
        self._log.compact(revision)

    async def close(self) -> None:
        self._log.close()

    def _write(self, write: Write) -> Record:
        (outcome,) = self._log.plan([write], now=self._now())
        if isinstance(outcome, StoreError):
            raise outcome
        self._log.apply([outcome])
        return outcome
