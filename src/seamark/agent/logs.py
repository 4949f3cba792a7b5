"""The output of containers, read from files in CRI format: ``TIME stdout|stderr F|P text``.

``F`` ends a line, ``P`` is a part of one that goes on in the next entry. What a reader gets is the text alone, or with
``timestamps`` each entry after its own time. Following looks at the file ten times a second until ``ended`` says that
nothing more comes; a file is only ever appended to.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
    offset = find_tail(path, options.tail)
    while True:
        over = not options.follow or ended()
        for chunk in _chunks(path, offset):
            offset += len(chunk)
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


def find_tail(path: Path, lines: int | None) -> int:
    """The offset at which the last ``lines`` lines begin; parts of one line count as one."""
    if lines is None:
        return 0
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            return end if lines == 0 else _line_starts(file.fileno(), end, lines)
    except FileNotFoundError:
        return 0


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


def _chunks(path: Path, offset: int) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk


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
