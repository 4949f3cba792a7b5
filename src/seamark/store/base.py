"""The store contract: a revisioned map from key to bytes with etcd's meaning.

Rules every driver keeps, checked by ``tests/store/test_conformance.py``:

* One global revision, starting at 1 for the empty store, grows by one per write; a failed write moves nothing.
* A write returns only when it is durable; concurrent writes may share one sync.
* ``watch(after=N)`` gives every event with revision > N exactly once, in order, with no gap; N below the compaction
  floor raises CompactedError, at call time or later when the watcher falls too far behind.
* ``list(revision=N)`` gives the state at N, or CompactedError.
* Keys are ``/``-separated text; order is by code point.
* A full disk or an unwritable directory raises StoreWriteError for writes; reads go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """Base of what a store raises."""


class KeyExistsError(StoreError):
    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} exists")
        self.key = key


class RevisionMismatchError(StoreError):
    """Compare-and-set failed. ``current`` is what is there now, None when the key is gone."""

    def __init__(self, key: str, expected: int, current: Entry | None) -> None:
        found = f"revision {current.revision}" if current else "nothing"
        super().__init__(f"key {key}: expected revision {expected}, found {found}")
        self.key = key
        self.expected = expected
        self.current = current


class CompactedError(StoreError):
    """The asked revision is below the compaction ``floor``."""

    def __init__(self, asked: int, floor: int) -> None:
        super().__init__(f"too old resource version: {asked} ({floor})")
        self.asked = asked
        self.floor = floor


class FutureRevisionError(StoreError):
    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"Too large resource version: {asked}, current: {current}")
        self.asked = asked
        self.current = current


class StoreWriteError(StoreError):
    """The medium refused the write (disk full, read-only); nothing was changed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored value; ``revision`` is that of its last write, ``created`` that of its creation."""

    key: str
    value: bytes
    revision: int
    created: int


@dataclass(frozen=True, slots=True)
class Event:
    """A write: ``value`` None = deleted; ``previous`` None = created. ``time`` is the commit, Unix seconds."""

    key: str
    revision: int
    value: bytes | None
    previous: bytes | None
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in key order as of ``revision``; ``remaining`` counts those beyond the limit (0 = complete)."""

    entries: tuple[Entry, ...]
    revision: int
    remaining: int = 0


class Watch(Protocol):
    """An open watch. Iterate for batches of one or more events; ``close`` ends it and frees its buffer."""

    def __aiter__(self) -> AsyncIterator[tuple[Event, ...]]: ...

    def take(self) -> tuple[Event, ...]:
        """What has come and nobody has read, without waiting; empty = nothing new. Raises CompactedError.

        For a reader that is asked things rather than told: it looks here first, and misses no write that has returned.
        """
        ...

    def close(self) -> None: ...


class Store(Protocol):
    async def get(self, *, key: str) -> Entry | None: ...

    async def list(self, *, prefix: str, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Entries whose key starts with ``prefix`` and sorts behind ``after``; limit 0 = all, revision 0 = now."""
        ...

    async def create(self, *, key: str, value: bytes) -> Entry:
        """Raises KeyExistsError, StoreWriteError."""
        ...

    async def update(self, *, key: str, value: bytes, expected: int) -> Entry:
        """Compare-and-set on the entry's revision. Raises RevisionMismatchError, StoreWriteError."""
        ...

    async def delete(self, *, key: str, expected: int) -> Event:
        """Compare-and-delete. Raises RevisionMismatchError, StoreWriteError."""
        ...

    def watch(self, *, prefix: str, after: int) -> Watch:
        """Events under ``prefix`` with revision > ``after``. Raises CompactedError, FutureRevisionError."""
        ...

    async def revision(self) -> int: ...

    async def compact(self, *, revision: int) -> None:
        """Forget history up to and including ``revision``; current values stay."""
        ...

    async def close(self) -> None: ...
