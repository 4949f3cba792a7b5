"""Answers that last, ready on the wire: the same packet gets the same answer without a walk through the chain.

Only where every plugin of the chain is one that has nothing to say about it (``QUIET``) or counts it again (``again``),
and only as long as who answered says that it lasts: kubernetes until its table changes, cache until the TTL that it
gives is another one, which is a second at most. A packet is the same if all
but its id is: flags, the name's spelling, type, class and EDNS. Answers that loadbalance shuffles are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seamark.dns.listener import Listener, plain_address
from seamark.dns.plugin import Answer, Query
from seamark.machinery.clock import Clock

QUIET = frozenset(
    {"bind", "cache", "errors", "forward", "health", "kubernetes", "loadbalance", "loop", "prometheus", "ready"}
    | {"reload", "root", "timeouts", "tls"}
)
LIMIT = 8192
Key = tuple[Listener, bytes, bool]
Again = Callable[[Query, Answer], None]


@dataclass(slots=True)
class _Kept:
    wire: bytes
    query: Query
    answer: Answer
    lasting: Callable[[], bool]
    again: tuple[Again, ...]


class Remembered:
    """One per instance: a reload starts with none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Key, _Kept] = {}

    def find(self, at: Listener, packet: bytes, client: str) -> bytes | None:
        key = (at, packet[2:], ":" in client and "." not in client)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if not kept.lasting():
            del self._kept[key]
            return None
        kept.query.received, kept.query.client = self._clock.monotonic(), plain_address(client)
        for again in kept.again:
            again(kept.query, kept.answer)
        if kept.answer.sent is not None:
            kept.answer.sent(len(kept.wire))
        return packet[:2] + kept.wire[2:]

    def keep(
        self, at: Listener, packet: bytes, query: Query, answer: Answer, wire: bytes, again: Sequence[Again]
    ) -> None:
        """``again`` are those that count the answer each time it is given."""
        if answer.lasting is None:
            return
        if len(self._kept) >= LIMIT:
            self._kept.clear()
        self._kept[at, packet[2:], ":" in query.client] = _Kept(wire, query, answer, answer.lasting, tuple(again))


def counters(plugins: Sequence[tuple[str, Any]]) -> tuple[Again, ...] | None:
    """What has to be called for an answer given again; None where a plugin would want to see the question itself."""
    if not {name for name, _ in plugins} <= QUIET:
        return None
    return tuple(handler.again for _, handler in plugins if hasattr(handler, "again"))
