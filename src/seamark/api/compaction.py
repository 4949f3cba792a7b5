"""History is forgotten after five to ten minutes, as kube-apiserver has it forgotten (``--etcd-compaction-interval``).

A watch or a page of a list that goes on from further back is told to begin anew (410 Expired). A registry that is
written to fast forgets sooner: the store bounds what it holds by itself.
"""

from __future__ import annotations

from seamark.machinery.clock import Clock
from seamark.store.base import Store

INTERVAL = 300.0


async def compact_periodically(store: Store, *, clock: Clock, interval: float = INTERVAL) -> None:
    """Until cancelled."""
    seen = await store.revision()
    while True:
        await clock.sleep(interval)
        await store.compact(revision=seen)
        seen = await store.revision()
