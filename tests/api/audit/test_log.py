"""The audit log's file: appended to, turned over by size, old ones taken away."""

from __future__ import annotations

from pathlib import Path

from seamark.api.audit.log import AuditLog
from seamark.testing.clock import FakeClock


async def test_is_turned_over_and_keeps_so_many(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "log" / "audit.log"
    log = AuditLog(path, clock, size=20, backups=2)
    (tmp_path / "log" / "audit-notes.log").write_text("somebody else's")
    for number in range(10):
        log.write(b"line %d......\n" % number)
        await clock.advance(1)
    log.close()
    kept = sorted(p.name for p in path.parent.iterdir())
    assert kept == [
        "audit-2023-11-14T22-13-28.000.log",
        "audit-2023-11-14T22-13-29.000.log",
        "audit-notes.log",
        "audit.log",
    ]
    assert path.read_bytes() == b"line 9......\n"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_goes_on_where_it_was(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "audit.log"
    for text in (b"one\n", b"two\n"):
        log = AuditLog(path, clock)
        log.write(text)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"
