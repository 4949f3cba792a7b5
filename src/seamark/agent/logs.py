"""The output of containers, read from files in CRI format: ``TIME stdout|stderr F|P text``.

``F`` ends a line, ``P`` is a part of one that goes on in the next entry. What a reader gets is the text alone, or with
``timestamps`` each entry after its own time. Following looks at the file ten times a second until ``ended`` says that
nothing more comes. A full file is renamed to ``PATH.1``, that to ``PATH.2`` and so on (``linux/supervisor/output.py``):
a reader begins with the newest, as kubelet's does, and a follower goes on from one to the next without losing a line.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seamark.machinery.clock import Clock, parse_time
from seamark.machinery.streams import LogRequest

CHUNK = 64 * 1024
POLL = 0.1


@dataclass(frozen=True, slots=True)
class LogOptions:
    """``since`` is Unix seconds, 0.0 = from the beginning; ``limit`` bytes, 0 = all; ``tail`` lines, None = all."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float = 0.0
    limit: int = 0


def parse_options(request: LogRequest, now: float) -> LogOptions:
    """Raises ValueError for a sinceTime that is no time."""
    since = 0.0
    if request.since_time:
        since = parse_time(request.since_time)
    elif request.since_seconds is not None:
        since = now - request.since_seconds
    return LogOptions(
        follow=request.follow,
        timestamps=request.timestamps,
        tail=request.tail_lines,
        since=since,
        limit=request.limit_bytes,
    )


def render_entry(entry: bytes, options: LogOptions) -> bytes:
    """What is shown of one entry (without its newline); ``b""`` for one that is too old or not an entry."""
    parts = entry.split(b" ", 3)
    if len(parts) < 3:
        return b""
    time, _, tag, *rest = parts
    if options.since and _seconds(time) < options.since:
        return b""
    text = rest[0] if rest else b""
    shown = time + b" " + text if options.timestamps else text
    return shown if tag == b"P" else shown + b"\n"


async def read_log(path: Path, options: LogOptions, *, clock: Clock, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Chunks of the log. ``ended`` is asked before a last look, so nothing written before the end is missed."""
    left = options.limit or None
    rest = b""
    with LogFiles(path, tail=options.tail) as files:
        while True:
            over = not options.follow or ended()
            for chunk in files.chunks():
                *entries, rest = (rest + chunk).split(b"\n")
                shown = b"".join(render_entry(entry, options) for entry in entries)
                if left is not None:
                    shown = shown[:left]
                    left -= len(shown)
                if shown:
                    yield shown
                if left == 0:
                    return
            if over:
                return
            await clock.sleep(POLL)


class LogFiles:
    """The newest file from its last ``tail`` lines on, then whatever is written, across rotations."""

    def __init__(self, path: Path, *, tail: int | None) -> None:
        self._path = path
        self._tail = tail
        self._file: BinaryIO | None = None

    def __enter__(self) -> LogFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """What has come since the last call."""
        if self._file is None:
            self._file = _open(self._path)
            if self._file is None:
                return
            self._file.seek(find_tail(self._file.fileno(), self._tail))
        while True:
            moved = _inode(self._path) != os.fstat(self._file.fileno()).st_ino
            while chunk := self._file.read(CHUNK):
                yield chunk
            if not moved:
                return
            following = self._open_following(os.fstat(self._file.fileno()).st_ino)
            if following is None:
                return
            self._file.close()
            self._file = following

    def _open_following(self, inode: int) -> BinaryIO | None:
        """The file after the one with this inode; the oldest when that has gone. None while files are being moved."""
        newest = _inode(self._path)
        older = sorted(self._path.parent.glob(f"{self._path.name}.*"), key=lambda p: -int(p.suffix[1:]))
        names = [*older, self._path]
        found = [_inode(name) for name in names]
        if newest == 0 or _inode(self._path) != newest or 0 in found:
            return None  # a rotation right now: the next look sees its end
        at = found.index(inode) + 1 if inode in found else 0
        file = _open(names[at]) if at < len(names) else None
        if file is not None and os.fstat(file.fileno()).st_ino != found[at]:
            file.close()
            return None
        return file


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int:
    """0 for a file that is not there."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def find_tail(fd: int, lines: int | None) -> int:
    """The offset at which the last ``lines`` lines begin; parts of one line count as one."""
    if lines is None:
        return 0
    end = os.fstat(fd).st_size
    return end if lines == 0 else _line_starts(fd, end, lines)


def _line_starts(fd: int, end: int, lines: int) -> int:
    """Reads backwards in blocks until more than ``lines`` whole lines are at hand."""
    at, data = end, b""
    while at > 0:
        size = min(CHUNK, at)
        at -= size
        data = os.pread(fd, size, at) + data
        starts = _full_line_starts(data)
        if len(starts) > lines + 1 or (at == 0 and len(starts) >= lines):
            return at + starts[-lines]
    return 0


def _full_line_starts(data: bytes) -> list[int]:
    """Where each logical line begins in ``data``; the first is unsure, because its start may lie before."""
    starts: list[int] = []
    position, fresh = 0, True
    for entry in data.splitlines(keepends=True):
        if fresh:
            starts.append(position)
        position += len(entry)
        parts = entry.split(b" ", 3)
        fresh = len(parts) < 3 or parts[2] != b"P"
    return starts


def _seconds(time: bytes) -> float:
    """RFC 3339 with up to nine digits; Python reads six."""
    text = time.decode("ascii", "replace")
    head, dot, tail = text.partition(".")
    if dot:
        digits = tail.rstrip("Z").split("+")[0][:6]
        text = f"{head}.{digits}Z"
    try:
        return parse_time(text)
    except ValueError:
        return 0.0
