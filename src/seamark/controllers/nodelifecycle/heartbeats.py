"""When each node was last heard of, by our own clock.

A node's clock may be wrong, so what counts is the moment at which a renewed lease was *seen*; after our own restart
every node has its full time again.
"""

from __future__ import annotations


class Heartbeats:
    def __init__(self) -> None:
        self._heard: dict[str, tuple[str, float]] = {}

    def hear(self, node: str, renewed: str, *, now: float) -> float:
        """Notes the lease's renewTime and gives the moment at which its value was first seen."""
        known = self._heard.get(node)
        if known is None or known[0] != renewed:
            self._heard[node] = (renewed, now)
        return self._heard[node][1]

    def forget(self, node: str) -> None:
        self._heard.pop(node, None)
