"""What every driver serves from: the current state and the recent history, in memory, and the open watches.

Rule: nothing here waits, and nothing here is durable. A driver checks a write with ``plan``, makes the resulting
records durable in its own way, and then calls ``apply``: only from that moment on is a write visible. Revisions are
dense (one write, one number), so the record of revision N sits at a fixed place in the log.

See README.md for the flow of a write.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seamark.store.base import (
    CompactedError,
    Entry,
    Event,
    FutureRevisionError,
    KeyExistsError,
    Page,
    RevisionMismatchError,
    StoreError,
)

FIRST_REVISION = 1
HISTORY = 8192  # records kept for watches and paged lists; about as many objects as bytes × 1 000
HISTORY_BYTES = 32 << 20  # of their values: a large object that changes often must not fill the memory
WATCH_BUFFER = 20_000  # unread events after which a watcher is told that it lags too far behind
WATCH_BYTES = 64 << 20
_TRIM_STEP = 256
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Write:
    """A write as asked. ``expected`` is the revision to find; a create expects 0, that is nothing."""

    verb: Literal["create", "update", "delete"]
    key: str
    value: bytes | None
    expected: int


@dataclass(frozen=True, slots=True)
class Record:
    """A write as taken: the event, and the entries around it (None = no such key)."""

    event: Event
    before: Entry | None
    after: Entry | None


def plan_write(write: Write, current: Entry | None, *, revision: int, now: float) -> Record:
    """The record that ``write`` makes at ``revision``. Raises KeyExistsError or RevisionMismatchError."""
    if write.verb == "create":
        if current is not None:
            raise KeyExistsError(write.key)
    elif current is None or current.revision != write.expected:
        raise RevisionMismatchError(write.key, write.expected, current)
    previous = current.value if current else None
    event = Event(write.key, revision, write.value, previous, now)
    if write.value is None:
        return Record(event, current, None)
    created = current.created if current else revision
    return Record(event, current, Entry(write.key, write.value, revision, created))


def _size(event: Event) -> int:
    """Of what the event alone keeps alive; ``previous`` is the value of the one before."""
    return len(event.value or b"")


class LogWatch:
    """A watch over the log: a bounded queue that ``apply`` fills and the reader empties in batches."""

    def __init__(self, log: StateLog, prefix: str, backlog: Iterable[Event]) -> None:
        self.prefix = prefix
        self._log = log
        self._queue: deque[Event] = deque(backlog)
        self._bytes = sum(map(_size, self._queue))
        self._wake = asyncio.Event()
        self._closed = False
        self._lagging = False
        self._last = 0

    def push(self, events: Sequence[Event]) -> None:
        self._bytes += sum(map(_size, events))
        if len(self._queue) + len(events) > WATCH_BUFFER or self._bytes > WATCH_BYTES:
            self._lagging = True
            self._queue.clear()
        if not self._lagging:
            self._queue.extend(events)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._log.forget(self)
        self._wake.set()

    def take(self) -> tuple[Event, ...]:
        if not self._queue:
            if self._lagging:
                raise CompactedError(self._last, self._log.floor)
            return ()
        batch = tuple(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._last = batch[-1].revision
        return batch

    async def __aiter__(self) -> AsyncIterator[tuple[Event, ...]]:
        while not self._closed:
            batch = self.take()
            if batch:
                yield batch
            else:
                self._wake.clear()
                await self._wake.wait()


class StateLog:
    """State, history and watches. Not for threads: everything runs on the event loop."""

    def __init__(self, *, history: int = HISTORY, history_bytes: int = HISTORY_BYTES) -> None:
        self.revision = FIRST_REVISION
        self.floor = FIRST_REVISION
        self._history = history
        self._history_bytes = history_bytes
        self._bytes = 0
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._log: list[Record] = []
        self._watches: dict[str, list[LogWatch]] = {}

    # -- reads ---------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def list(self, *, prefix: str, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        if revision and revision != self.revision:
            self._check(revision)
            entries = self._entries_at(prefix, revision)
            found = sorted(k for k in entries if k > after)
            shown = found[:limit] if limit else found
            return Page(tuple(entries[k] for k in shown), revision, len(found) - len(shown))
        low = bisect_left(self._keys, prefix)
        high = bisect_right(self._keys, prefix + _LAST)
        if after:
            low = max(low, bisect_right(self._keys, after))
        end = min(high, low + limit) if limit else high
        entries = self._entries
        return Page(tuple([entries[k] for k in self._keys[low:end]]), self.revision, max(0, high - end))

    def watch(self, *, prefix: str, after: int) -> LogWatch:
        self._check(after)
        backlog = [r.event for r in self._since(after) if r.event.key.startswith(prefix)]
        watch = LogWatch(self, prefix, backlog)
        self._watches.setdefault(prefix, []).append(watch)
        return watch

    def _check(self, revision: int) -> None:
        if revision < self.floor:
            raise CompactedError(revision, self.floor)
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)

    def _since(self, revision: int) -> Sequence[Record]:
        """Records with a revision above the given one, which is not below the floor."""
        return self._log[len(self._log) - (self.revision - revision) :] if revision < self.revision else ()

    def _entries_at(self, prefix: str, revision: int) -> dict[str, Entry]:
        """The state under ``prefix`` as of ``revision``: today's with the later writes taken back."""
        low = bisect_left(self._keys, prefix)
        high = bisect_right(self._keys, prefix + _LAST)
        entries = {k: self._entries[k] for k in self._keys[low:high]}
        for record in reversed(self._since(revision)):
            key = record.event.key
            if not key.startswith(prefix):
                continue
            if record.before is None:
                entries.pop(key, None)
            else:
                entries[key] = record.before
        return entries

    # -- writes --------------------------------------------------------------------------------------------------

    def plan(self, writes: Sequence[Write], *, now: float) -> tuple[Record | StoreError, ...]:
        """What each write becomes, in order, each seeing those before it; refused ones take no revision."""
        pending: dict[str, Entry | None] = {}
        revision = self.revision
        outcomes: deque[Record | StoreError] = deque()  # (`list` is a method here)
        for write in writes:
            current = pending[write.key] if write.key in pending else self._entries.get(write.key)
            try:
                record = plan_write(write, current, revision=revision + 1, now=now)
            except StoreError as refused:
                outcomes.append(refused)
                continue
            revision += 1
            pending[write.key] = record.after
            outcomes.append(record)
        return tuple(outcomes)

    def apply(self, records: Sequence[Record]) -> None:
        """Makes durable records visible: state, history, watches. They follow on from the current revision."""
        for record in records:
            self._set(record.event.key, record.after)
            self._log.append(record)
            self._bytes += _size(record.event)
            self.revision = record.event.revision
        self._dispatch([r.event for r in records])
        self._trim()

    def _trim(self) -> None:
        """Forgets the oldest records, many at a time."""
        if len(self._log) - self._history >= _TRIM_STEP:
            self.compact(self.revision - self._history)
        if self._bytes <= self._history_bytes:
            return
        left, dropped = self._bytes, 0
        while left > self._history_bytes * 3 // 4 and dropped < len(self._log) - 1:
            left -= _size(self._log[dropped].event)
            dropped += 1
        self.compact(self.floor + dropped)

    def load(self, *, entries: Mapping[str, Entry], log: Sequence[Record], revision: int, floor: int) -> None:
        """Takes over what a driver read at start; ``log`` holds every record above ``floor``."""
        self._entries = dict(entries)
        self._keys = sorted(entries)
        self._log = list(log)
        self._bytes = sum(_size(record.event) for record in self._log)
        self.revision = revision
        self.floor = floor

    def compact(self, revision: int) -> None:
        revision = min(revision, self.revision)
        if revision > self.floor:
            count = revision - self.floor
            self._bytes -= sum(_size(record.event) for record in self._log[:count])
            del self._log[:count]
            self.floor = revision

    def forget(self, watch: LogWatch) -> None:
        watches = self._watches.get(watch.prefix, [])
        if watch in watches:
            watches.remove(watch)
        if not watches:
            self._watches.pop(watch.prefix, None)

    def close(self) -> None:
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.close()

    def _set(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            del self._entries[key]
            del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._entries:
            insort(self._keys, key)
        self._entries[key] = entry

    def _dispatch(self, events: Sequence[Event]) -> None:
        for prefix, watches in self._watches.items():
            fitting = [e for e in events if e.key.startswith(prefix)]
            if fitting:
                for watch in watches:
                    watch.push(fitting)
