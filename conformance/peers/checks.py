"""What is looked for, and for how long: each check is one row of the page."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0
RETRY = 0.2
PEER, CHECK, RESULT = range(3)


@dataclass
class Checks:
    """``rows``: who, what, and why not (empty: it is so)."""

    peer: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    async def until(self, what: str, holds: Callable[[], Awaitable[object]], *, seconds: float = PATIENCE) -> None:
        """Notes whether ``holds`` becomes true; what it raised last is the reason where it does not."""
        deadline = time.monotonic() + seconds
        why = ""
        while True:
            try:
                if await holds():
                    why = ""
                    break
                why = f"not within {seconds:.0f} s"
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(RETRY)
        self.rows.append((self.peer, what, why))
        print(f"{self.peer:<24} {'✓' if not why else '✗ ' + why} {what}", flush=True)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def output(*command: str) -> str:
    """Standard output of a command that has to succeed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[0]}: {err.decode().strip() or out.decode().strip()}")
    return out.decode()
