"""Which revisions of the registry are in the table: what ``/visible?revision=N`` of the health port answers.

A revision is one write to one object. It is visible once the event of exactly that revision has been applied, or once
every watch has come to it or past it: then the write was none of the kinds that make names, or of no object selected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from seamark.machinery.clock import Clock

KEPT = 4096
PAUSE = 0.05  # bookmarks move a watch without a word


class Visible:
    def __init__(self, positions: Callable[[], Iterable[str]], clock: Clock) -> None:
        """``positions`` are the revisions up to which each watch is complete; empty before its first list."""
        self._positions = positions
        self._clock = clock
        self._order: deque[str] = deque()
        self._applied: set[str] = set()

    def note(self, revision: str) -> None:
        """An event of this revision is in the table."""
        if revision in self._applied or not revision:
            return
        self._applied.add(revision)
        self._order.append(revision)
        if len(self._order) > KEPT:
            self._applied.discard(self._order.popleft())

    def has(self, revision: int) -> bool:
        if str(revision) in self._applied:
            return True
        positions = [int(text) if text.isdecimal() else -1 for text in self._positions()]
        return bool(positions) and min(positions) >= revision

    @property
    def complete(self) -> str:
        """The revision up to which all watches are complete; empty before that."""
        positions = list(self._positions())
        return min(positions, key=int) if positions and all(text.isdecimal() for text in positions) else ""

    async def wait(self, revision: int, seconds: float) -> bool:
        """Until the revision is visible, or the time is over."""
        waited = 0.0
        while not self.has(revision):
            if waited >= seconds:
                return False
            await self._clock.sleep(PAUSE)
            waited += PAUSE
        return True
