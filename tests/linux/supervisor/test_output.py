"""Container output becomes CRI log lines, whatever pieces it arrives in."""

from __future__ import annotations

import fcntl
import os
import re
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seamark.linux.supervisor.loop import Loop
from seamark.linux.supervisor.output import LINE_LIMIT, LogFile, LogStream


class Pipe:
    def __init__(self, path: Path, limit: int = 1 << 20) -> None:
        self.path = path
        reading, self.writing = os.pipe()
        self.log = LogFile(str(path), limit=limit, files=3)
        self.stream = LogStream(_Loop(), reading, self.log, "stdout")  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        os.write(self.writing, data)
        self.stream.read()

    def lines(self) -> list[str]:
        return [re.sub(r"^\S+ ", "", line) for line in self.path.read_text().splitlines()]


class _Loop:
    """Only remembers what is watched, and for what."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}
        self.events: dict[int, int] = {}

    watch = Loop.__dict__["watch"]
    watch_writing = Loop.__dict__["watch_writing"]
    want_room = Loop.__dict__["want_room"]

    @property
    def epoll(self) -> _Loop:
        return self

    def register(self, fd: int, events: int) -> None:
        self.events[fd] = events

    modify = register

    def forget(self, fd: int) -> None:
        self.readers.pop(fd, None)
        self.events.pop(fd, None)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "log")
    yield pipe
    pipe.log.close()


def test_lines_and_a_last_one_without_end(pipe: Pipe) -> None:
    pipe.write(b"one\ntw")
    pipe.write(b"o\n\nthree")
    assert pipe.lines() == ["stdout F one", "stdout F two", "stdout F "]
    os.close(pipe.writing)
    pipe.stream.close()
    assert pipe.lines()[3:] == ["stdout F three"]


def test_stamp_has_nanoseconds(pipe: Pipe) -> None:
    pipe.write(b"x\n")
    os.close(pipe.writing)
    pipe.stream.close()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F x\n", pipe.path.read_text())


def test_a_long_line_is_cut_into_parts(pipe: Pipe) -> None:
    pipe.write(b"a" * (LINE_LIMIT + 5) + b"\n" + b"b" * LINE_LIMIT)
    pipe.write(b"end\n")
    os.close(pipe.writing)
    pipe.stream.close()
    assert pipe.lines() == [
        "stdout P " + "a" * LINE_LIMIT,
        "stdout F " + "a" * 5,
        "stdout P " + "b" * LINE_LIMIT,
        "stdout F end",
    ]


def test_close_takes_what_is_still_in_the_pipe(pipe: Pipe) -> None:
    os.write(pipe.writing, b"last words\n")
    pipe.stream.close()
    os.close(pipe.writing)
    assert pipe.lines() == ["stdout F last words"]


def test_bytes_that_are_no_text_survive(pipe: Pipe) -> None:
    pipe.write(b"\xff\x00\xfe\n")
    os.close(pipe.writing)
    pipe.stream.close()
    assert pipe.path.read_bytes().endswith(b" stdout F \xff\x00\xfe\n")


class Attached:
    """A client's end of a tap, whose pipe holds one page."""

    def __init__(self, stream: LogStream) -> None:
        self.reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reading, False)
        self.tap = stream.tap(writing)

    def read(self) -> bytes | None:
        """None: nothing yet."""
        try:
            return os.read(self.reading, 1 << 20)
        except BlockingIOError:
            return None


def test_attached_clients_get_the_bytes_as_they_are(pipe: Pipe) -> None:
    pipe.write(b"before\n")
    one, other = Attached(pipe.stream), Attached(pipe.stream)
    pipe.write(b"\x00half a li")
    assert one.read() == other.read() == b"\x00half a li"
    os.close(one.reading)
    pipe.write(b"ne\n")
    assert not one.tap.open and other.read() == b"ne\n"
    assert pipe.lines() == ["stdout F before", "stdout F \x00half a line"]
    os.close(pipe.writing)
    pipe.stream.close()
    assert other.read() == b""
    os.close(other.reading)


def test_a_slow_client_holds_the_output_back_and_loses_nothing(pipe: Pipe) -> None:
    loop, fd = pipe.stream.loop, pipe.stream.fd
    slow = Attached(pipe.stream)
    pipe.write(b"x" * 5000)
    assert fd not in loop.readers and loop.events[slow.tap.fd] == select.EPOLLOUT  # type: ignore[attr-defined]
    assert slow.read() == b"x" * 4096
    loop.readers[slow.tap.fd]()
    assert fd in loop.readers and slow.read() == b"x" * 904 and loop.events[slow.tap.fd] == 0  # type: ignore[attr-defined]
    pipe.write(b"y" * 5000)
    os.close(pipe.writing)
    pipe.stream.close()  # the container has ended; what the client has not read yet still reaches it
    assert slow.read() == b"y" * 4096
    loop.readers[slow.tap.fd]()
    assert slow.read() == b"y" * 904 and slow.read() == b""
    assert loop.readers == {}
    os.close(slow.reading)


def test_a_client_that_is_gone_is_dropped_and_the_output_goes_on(pipe: Pipe) -> None:
    loop, fd = pipe.stream.loop, pipe.stream.fd
    gone = Attached(pipe.stream)
    pipe.write(b"x" * 5000)
    os.close(gone.reading)
    loop.readers[gone.tap.fd]()
    assert fd in loop.readers and not gone.tap.open and pipe.stream.taps == []
    os.close(pipe.writing)
    pipe.stream.close()


def test_rotation_falls_between_entries_and_keeps_so_many_files(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "log", limit=300)
    for number in range(40):
        pipe.write(f"line {number}\n".encode())
    os.close(pipe.writing)
    pipe.stream.close()
    pipe.log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    text = "".join((tmp_path / name).read_text() for name in ("log.2", "log.1", "log"))
    kept = [re.sub(r"^\S+ stdout F ", "", line) for line in text.splitlines(keepends=True)]
    assert kept == [f"line {number}\n" for number in range(40 - len(kept), 40)]
    assert all((tmp_path / name).stat().st_size < 400 for name in ("log", "log.1", "log.2"))


def test_a_log_is_continued(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 290)
    log = LogFile(str(tmp_path / "log"), limit=300, files=2)
    log.write(b"y" * 10)
    assert (tmp_path / "log.1").stat().st_size == 300 and (tmp_path / "log").stat().st_size == 0
    log.close()
