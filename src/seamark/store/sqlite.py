"""The store on SQLite: served from memory, every write durable before it is acknowledged.

One writer thread owns the connection. While it commits one batch, further writes gather and form the next: however
many clients write at once, each batch costs one fsync and one wake-up of the event loop. Reads never touch the file.

The file holds the current entries, the recent log (so that watches resume across a restart) and the schema version.
It is opened in exclusive locking mode: a second process gets an error instead of a second truth. A medium that
refuses a batch (disk full, read-only) fails exactly the writes of that batch, and nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seamark.store.base import Entry, Event, Page, StoreError, StoreWriteError
from seamark.store.statelog import FIRST_REVISION, HISTORY, LogWatch, Record, StateLog, Write

SCHEMA_VERSION = 1
MAX_BATCH = 512
_PRUNE_STEP = 64  # log rows dropped with one commit, beyond as many as it adds: small steps, no long stall

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE TABLE log (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, time REAL NOT NULL, value BLOB, created INTEGER NOT NULL,
    previous BLOB, previous_revision INTEGER NOT NULL, previous_created INTEGER NOT NULL);
"""


@dataclass(slots=True)
class _Waiting:
    """A write that waits for its batch, and the future its caller waits on."""

    write: Write
    done: asyncio.Future[Record]


@dataclass(frozen=True, slots=True)
class _Commit:
    """What the writer thread does in one transaction, and whom it tells (None = committed)."""

    records: tuple[Record, ...]
    floor: int
    tell: Callable[[StoreWriteError | None], None]


class SqliteStore:
    """Satisfies ``store.base.Store``. Opening reads everything once; ``close`` flushes and frees the file.

    Raises StoreError for a file that cannot be opened, is in use, or was written by a newer Seamark.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time, history: int = HISTORY) -> None:
        self._path = path
        self._now = now
        self._history = history
        self._log = StateLog(history=history)
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection = _open(path)
        try:
            _load(self._connection, self._log)
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{path}: cannot read: {error}") from error
        self._commits: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._run_writer, name="sqlite-writer", daemon=True)
        self._writer.start()

    @classmethod
    async def open(cls, path: Path, *, now: Callable[[], float] = time.time) -> SqliteStore:
        """The same without keeping the event loop waiting while the file is read."""
        return await asyncio.to_thread(cls, path, now=now)

    async def get(self, *, key: str) -> Entry | None:
        return self._log.get(key)

    async def list(self, *, prefix: str, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        return self._log.list(prefix=prefix, after=after, limit=limit, revision=revision)

    async def create(self, *, key: str, value: bytes) -> Entry:
        record = await self._write(Write("create", key, value, 0))
        assert record.after is not None
        return record.after

    async def update(self, *, key: str, value: bytes, expected: int) -> Entry:
        record = await self._write(Write("update", key, value, expected))
        assert record.after is not None
        return record.after

    async def delete(self, *, key: str, expected: int) -> Event:
        return (await self._write(Write("delete", key, None, expected))).event

    def watch(self, *, prefix: str, after: int) -> LogWatch:
        return self._log.watch(prefix=prefix, after=after)

    async def revision(self) -> int:
        return self._log.revision

    async def compact(self, *, revision: int) -> None:
        """The file follows with the next commits, a few rows at a time."""
        self._log.compact(revision)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        self._commits.put(None)
        await asyncio.to_thread(self._writer.join)
        self._log.close()
        self._connection.close()

    async def _write(self, write: Write) -> Record:
        if self._closed:
            raise StoreWriteError(f"{self._path}: the store is closed")
        done: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(write, done))
        if not self._busy:
            self._begin_batch()
        return await done

    def _begin_batch(self) -> None:
        """Plans what has gathered and hands it to the writer thread; the answers come with ``_end_batch``."""
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if not batch:
            self._busy = False
            self._idle.set()
            return
        self._busy = True
        self._idle.clear()
        outcomes = self._log.plan([w.write for w in batch], now=self._now())
        records = tuple(o for o in outcomes if isinstance(o, Record))
        loop = asyncio.get_running_loop()

        def end(error: StoreWriteError | None) -> None:
            self._end_batch(batch, outcomes, error)

        if records:
            tell: Callable[[StoreWriteError | None], None] = lambda error: _call(loop, end, error)  # noqa: E731
            self._commits.put(_Commit(records, max(self._log.floor, records[-1].event.revision - self._history), tell))
        else:
            loop.call_soon(end, None)

    def _end_batch(
        self, batch: Sequence[_Waiting], outcomes: Sequence[Record | StoreError], error: StoreWriteError | None
    ) -> None:
        if error is None:
            self._log.apply([o for o in outcomes if isinstance(o, Record)])
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.done.done():  # its caller was cancelled; the write stands all the same
                continue
            if error is not None:
                waiting.done.set_exception(StoreWriteError(str(error)))
            elif isinstance(outcome, Record):
                waiting.done.set_result(outcome)
            else:
                waiting.done.set_exception(outcome)
        self._begin_batch()

    def _run_writer(self) -> None:
        while (commit := self._commits.get()) is not None:
            try:
                _commit(self._connection, commit.records, commit.floor)
            except Exception as error:  # whatever it is, the callers must hear it and the thread must live
                commit.tell(StoreWriteError(f"{self._path}: {error}"))
            else:
                commit.tell(None)


def _call(
    loop: asyncio.AbstractEventLoop, end: Callable[[StoreWriteError | None], None], error: StoreWriteError | None
) -> None:
    try:
        loop.call_soon_threadsafe(end, error)
    except RuntimeError:  # the loop is gone: nobody is left to tell
        pass


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot open: {error}") from error
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        _check_schema(connection, path)
    except sqlite3.Error as error:
        connection.close()
        hint = " (is another Seamark running on it?)" if "locked" in str(error) else ""
        raise StoreError(f"{path}: cannot open: {error}{hint}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Creates the tables in a new file. ``user_version`` in the file's header is the schema version."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: schema version {found} was written by a newer Seamark, this one knows {SCHEMA_VERSION}; "
            "use that version, or another data directory"
        )
    connection.execute("BEGIN IMMEDIATE")  # takes the exclusive lock for good
    if found == 0:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('floor', ?)", (FIRST_REVISION,))
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _load(connection: sqlite3.Connection, log: StateLog) -> None:
    (floor,) = connection.execute("SELECT value FROM meta WHERE name = 'floor'").fetchone()
    entries = {
        key: Entry(key, value, revision, created)
        for key, value, revision, created in connection.execute("SELECT key, value, revision, created FROM entries")
    }
    rows = connection.execute(
        "SELECT revision, key, time, value, created, previous, previous_revision, previous_created"
        " FROM log WHERE revision > ? ORDER BY revision",
        (floor,),
    )
    records = [_record(row) for row in rows]
    revision = records[-1].event.revision if records else floor
    log.load(entries=entries, log=records, revision=revision, floor=floor)


def _record(row: tuple[int, str, float, bytes | None, int, bytes | None, int, int]) -> Record:
    revision, key, when, value, created, previous, previous_revision, previous_created = row
    before = None if previous is None else Entry(key, previous, previous_revision, previous_created)
    after = None if value is None else Entry(key, value, revision, created)
    return Record(Event(key, revision, value, previous, when), before, after)


def _commit(connection: sqlite3.Connection, records: tuple[Record, ...], floor: int) -> None:
    """One transaction: entries, log, and a small step of pruning towards ``floor``."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for record in records:
            _put(connection, record)
        _prune(connection, floor, len(records) + _PRUNE_STEP)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _put(connection: sqlite3.Connection, record: Record) -> None:
    event, before, after = record.event, record.before, record.after
    if after is None:
        connection.execute("DELETE FROM entries WHERE key = ?", (event.key,))
    else:
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, revision = excluded.revision, created = excluded.created",
            (after.key, after.value, after.revision, after.created),
        )
    connection.execute(
        "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.revision,
            event.key,
            event.time,
            event.value,
            after.created if after else 0,
            event.previous,
            before.revision if before else 0,
            before.created if before else 0,
        ),
    )


def _prune(connection: sqlite3.Connection, floor: int, step: int) -> None:
    (stored,) = connection.execute("SELECT value FROM meta WHERE name = 'floor'").fetchone()
    target = min(floor, stored + step)
    if target > stored:
        connection.execute("DELETE FROM log WHERE revision <= ?", (target,))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'floor'", (target,))
