"""What listens in a process's network namespace, from /proc (proc(5), net/tcp)."""

from __future__ import annotations

from pathlib import Path

LISTEN = "0A"


def is_listening(pid: int) -> bool | None:
    """Whether any TCP socket listens in the network namespace of ``pid``; None where it cannot be told."""
    found: bool | None = None
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        found = found or any(line.split()[3] == LISTEN for line in lines)
    return found
