"""The file of the audit log: a line an event, turned over when it would grow too large.

A full file is renamed with the time in its name, as kube-apiserver's are (``audit-2026-01-31T12-00-00.000.log``);
of those the newest ``backups`` stay, all where that is 0.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from seamark.machinery.clock import Clock

MEGABYTE = 1 << 20
DEFAULT_SIZE = 100  # megabytes
_STAMP = r"-\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3}"


class AuditLog:
    """Open until ``close``. ``size`` is in bytes."""

    def __init__(self, path: Path, clock: Clock, *, size: int = DEFAULT_SIZE * MEGABYTE, backups: int = 0) -> None:
        self._path = path
        self._clock = clock
        self._size = size
        self._backups = backups
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        """What it tells is nobody's business but the administrator's."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._written = os.fstat(self._file).st_size

    def write(self, line: bytes) -> None:
        """Raises OSError where the medium refuses."""
        if self._written and self._written + len(line) > self._size:
            self._turn_over()
        os.write(self._file, line)
        self._written += len(line)

    def _turn_over(self) -> None:
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        stamp = f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03d}"
        os.close(self._file)
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        self._open()
        ours = re.compile(re.escape(self._path.stem) + _STAMP + re.escape(self._path.suffix))
        old = sorted(path for path in self._path.parent.iterdir() if ours.fullmatch(path.name))
        for path in old[: -self._backups] if self._backups else ():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)
