"""Container output becomes CRI log lines, whatever pieces it arrives in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamark.linux.supervisor.loop import Loop
from seamark.linux.supervisor.output import LINE_LIMIT, LogStream


class Pipe:
    def __init__(self, path: Path) -> None:
        self.path = path
        reading, self.writing = os.pipe()
        self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.stream = LogStream(_Loop(), reading, self.log, "stdout")  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        os.write(self.writing, data)
        self.stream.read()

    def lines(self) -> list[str]:
        return [re.sub(r"^\S+ ", "", line) for line in self.path.read_text().splitlines()]


class _Loop:
    """Only remembers what is watched."""

    def __init__(self) -> None:
        self.readers: dict[int, object] = {}

    watch = Loop.__dict__["watch"]

    @property
    def epoll(self) -> _Loop:
        return self

    def register(self, fd: int, events: int) -> None: ...

    def forget(self, fd: int) -> None:
        self.readers.pop(fd, None)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "log")
    yield pipe
    os.close(pipe.log)


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
