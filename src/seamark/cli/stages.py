"""Progress of ``seamark up``: each stage with the time it took, on a terminal or line by line into a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Stages:
    """Writes ``  ✓ 0.12 s  API server ready on …``; what fails is left to the caller's error message."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started = time.monotonic()

    @contextmanager
    def stage(self, doing: str) -> Iterator[list[str]]:
        """Shows ``doing`` while it lasts where the output is a terminal; append to the list to say what came of it."""
        began = time.monotonic()
        live = self._out.isatty()
        if live:
            self._write(f"  … {doing}")
        said: list[str] = []
        try:
            yield said
        except BaseException:
            if live:
                self._write("\r\x1b[K")
            raise
        result = said[-1] if said else doing
        self._write(("\r\x1b[K" if live else "") + f"  ✓ {time.monotonic() - began:5.2f} s  {result}\n")

    def total(self) -> float:
        """Seconds since the first stage."""
        return time.monotonic() - self._started

    def line(self, text: str = "") -> None:
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
