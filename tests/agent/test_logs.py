"""Reading CRI logs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seamark.agent.logs import LogOptions, parse_options, read_log
from seamark.machinery.streams import LogRequest
from seamark.testing.clock import FakeClock, settle

LINES = (
    "2023-11-14T22:13:20.000000001Z stdout F one\n"
    "2023-11-14T22:13:21.000000001Z stderr P tw\n"
    "2023-11-14T22:13:21.000000002Z stderr F o\n"
    "2023-11-14T22:13:22.000000001Z stdout F \n"
    "2023-11-14T22:13:23.5Z stdout F four words are here\n"
)


async def read(path: Path, options: LogOptions) -> bytes:
    return b"".join([c async for c in read_log(path, options, clock=FakeClock(), ended=lambda: True)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LogOptions(), b"one\ntwo\n\nfour words are here\n"),
        (LogOptions(tail=0), b""),
        (LogOptions(tail=1), b"four words are here\n"),
        (LogOptions(tail=3), b"two\n\nfour words are here\n"),
        (LogOptions(tail=99), b"one\ntwo\n\nfour words are here\n"),
        (LogOptions(limit=5), b"one\nt"),
        (LogOptions(since=1_700_000_002.0), b"\nfour words are here\n"),
        (LogOptions(timestamps=True, tail=1), b"2023-11-14T22:13:23.5Z four words are here\n"),
    ],
)
async def test_options(log: Path, options: LogOptions, expected: bytes) -> None:
    assert await read(log, options) == expected


async def test_tail_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    path.write_text("".join(f"2023-11-14T22:13:20Z stdout F {'x' * 90}{i}\n" for i in range(5000)))
    text = await read(path, LogOptions(tail=1500))
    lines = text.decode().split()
    assert len(lines) == 1500 and lines[0].endswith("x3500") and lines[-1].endswith("x4999")


async def test_missing_log_is_empty(tmp_path: Path) -> None:
    assert await read(tmp_path / "nosuch", LogOptions(tail=5)) == b""


def rotate(path: Path) -> None:
    """As the supervisor does, three files in all."""
    if path.with_name("0.log.1").exists():
        path.with_name("0.log.1").replace(path.with_name("0.log.2"))
    path.replace(path.with_name("0.log.1"))
    path.touch()


async def test_following_goes_on_across_rotations(tmp_path: Path) -> None:
    path, clock = tmp_path / "0.log", FakeClock()

    def write(*numbers: int) -> None:
        with path.open("a") as file:
            file.writelines(f"2023-11-14T22:13:20Z stdout F {n}\n" for n in numbers)

    write(1, 2)
    over = False
    got: list[bytes] = []

    async def follow() -> None:
        async for chunk in read_log(path, LogOptions(follow=True, tail=1), clock=clock, ended=lambda: over):
            got.append(chunk)  # noqa: PERF401 - what came until now is what the test looks at

    task = asyncio.create_task(follow())
    await settle()
    write(3)  # after the last look, before the rotation
    rotate(path)
    write(4)
    rotate(path)  # twice between two looks
    write(5)
    await clock.advance(0.1)
    assert b"".join(got) == b"2\n3\n4\n5\n"
    for files in range(4):  # faster than anybody can read: the oldest that is left comes next
        write(10 + files)
        rotate(path)
    write(99)
    over = True
    await clock.advance(0.1)
    await task
    assert b"".join(got)[8:] == b"10\n12\n13\n99\n"


async def test_a_reader_begins_with_the_newest_file(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(LINES)
    rotate(path)
    path.write_text(LINES.splitlines(keepends=True)[0])
    assert await read(path, LogOptions()) == b"one\n"


async def test_half_written_entry_is_shown_once_it_is_whole(tmp_path: Path) -> None:
    path, clock = tmp_path / "0.log", FakeClock()
    path.write_text("2023-11-14T22:13:20Z stdout F one\n2023-11-14T22:13:20Z std")
    over = False
    got: list[bytes] = []

    async def follow() -> None:
        async for chunk in read_log(path, LogOptions(follow=True), clock=clock, ended=lambda: over):
            got.append(chunk)  # noqa: PERF401 - what came until now is what the test looks at

    task = asyncio.create_task(follow())
    await settle()
    assert got == [b"one\n"]
    with path.open("a") as file:
        file.write("out F two\n")
    over = True
    await clock.advance(0.1)
    await task
    assert got == [b"one\n", b"two\n"]


def test_parse_options() -> None:
    asked = LogRequest("ns", "p", "c", follow=True, tail_lines=3, since_seconds=10, limit_bytes=7)
    assert parse_options(asked, 100.0) == LogOptions(follow=True, tail=3, since=90.0, limit=7)
    since = LogRequest("ns", "p", "c", since_time="2023-11-14T22:13:20Z")
    assert parse_options(since, 0.0).since == 1_700_000_000.0
    with pytest.raises(ValueError):
        parse_options(LogRequest("ns", "p", "c", since_time="yesterday"), 0.0)
