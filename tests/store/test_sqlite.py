"""What only a driver with a file can do: survive, resume, refuse."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from seamark.store.base import StoreError, StoreWriteError
from seamark.store.sqlite import SqliteStore

WRITER = """
import asyncio, sys
from pathlib import Path
from seamark.store.sqlite import SqliteStore

async def client(store, number):
    for i in range(100_000):
        entry = await store.create(key=f"/c{number}/{i:06}", value=b"x" * 900)
        print(entry.key, entry.revision, flush=True)

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await asyncio.gather(*(client(store, n) for n in range(8)))

asyncio.run(main())
"""

LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from seamark.store.base import StoreWriteError
from seamark.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.create(key="/before", value=b"x")
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
    refused = 0
    for i in range(200):
        revision = await store.revision()
        try:
            await store.create(key=f"/n/{i}", value=b"x" * 4000)
        except StoreWriteError as error:
            refused += 1
            assert sys.argv[1] in str(error), error
            assert await store.revision() == revision
            assert await store.get(key=f"/n/{i}") is None
    assert refused, "the limit was never reached"
    assert (await store.get(key="/before")).value == b"x"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.create(key="/after", value=b"y")
    print(len((await store.list(prefix="/")).entries), await store.revision())
    await store.close()

asyncio.run(main())
"""


def write_until_killed(path: Path) -> list[list[str]]:
    """Key and revision of every write that the killed process had acknowledged."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        lines = [writer.stdout.readline() for _ in range(500)]
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read()
        writer.wait()
        writer.stdout.close()
    acknowledged = "".join(lines) + rest
    return [line.split() for line in acknowledged.splitlines(keepends=True) if line.endswith("\n")]


async def test_everything_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    whole = write_until_killed(path)
    store = SqliteStore(path)
    for key, revision in whole:
        entry = await store.get(key=key)
        assert entry is not None, f"{key} was acknowledged and is gone"
        assert entry.revision == int(revision)
    assert len(whole) >= 500
    await store.close()


async def test_watches_and_pages_resume_across_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    store = SqliteStore(path, now=lambda: 5.0)
    a = await store.create(key="/a", value=b"1")
    await store.update(key="/a", value=b"2", expected=a.revision)
    await store.create(key="/b", value=b"1")
    await store.delete(key="/b", expected=4)
    before = await store.list(prefix="/", revision=4)
    await store.close()
    again = SqliteStore(path)
    assert await again.revision() == 5
    assert await again.list(prefix="/", revision=4) == before
    watch = again.watch(prefix="/", after=2)
    async for batch in watch:
        assert [(e.key, e.value, e.previous, e.time) for e in batch] == [
            ("/a", b"2", b"1", 5.0),
            ("/b", b"1", None, 5.0),
            ("/b", None, b"1", 5.0),
        ]
        break
    watch.close()
    assert (await again.create(key="/c", value=b"")).revision == 6
    await again.close()


async def test_the_log_is_pruned_and_the_revision_kept(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    store = SqliteStore(path, history=10)
    for i in range(200):
        await store.create(key=f"/{i:03}", value=b"x")
    await store.close()
    with sqlite3.connect(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM log").fetchone()
    connection.close()
    assert rows == 10
    again = SqliteStore(path)
    assert await again.revision() == 201
    assert len((await again.list(prefix="/")).entries) == 200
    await again.close()


def test_a_full_disk_refuses_writes_and_changes_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse to grow the file, as a full disk does."""
    path = tmp_path / "registry.db"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    count, revision = map(int, done.stdout.split())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (count,)
        assert connection.execute("SELECT max(revision) FROM log").fetchone() == (revision,)
    connection.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    await SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99 was written by a newer Seamark"):
        SqliteStore(path)


async def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="another Seamark"):
        await asyncio.to_thread(SqliteStore, path)
    await store.close()


def test_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_text("this is no database " * 100)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(path)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path / "nowhere" / "registry.db")


async def test_a_closed_store_takes_no_writes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "registry.db")
    writing = asyncio.create_task(store.create(key="/a", value=b""))
    await asyncio.sleep(0)
    await store.close()
    assert (await writing).revision == 2
    with pytest.raises(StoreWriteError):
        await store.create(key="/b", value=b"")


async def test_a_refused_batch_fails_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was decided against writes of the same batch: they never were."""
    store = SqliteStore(tmp_path / "registry.db")
    kept = await store.create(key="/kept", value=b"1")

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("seamark.store.sqlite._commit", refuse)
        asked = (
            store.create(key="/a", value=b"1"),
            store.create(key="/b", value=b"1"),
            store.create(key="/a", value=b"2"),
            store.delete(key="/kept", expected=kept.revision),
        )
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(o) for o in outcomes] == [StoreWriteError] * 4
    assert await store.revision() == kept.revision
    assert [e.key for e in (await store.list(prefix="/")).entries] == ["/kept"]
    assert (await store.create(key="/a", value=b"3")).revision == kept.revision + 1
    await store.close()
