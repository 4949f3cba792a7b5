"""Whether a proxy does its work, and whether its node should be given traffic: what ``/healthz`` and ``/livez`` say.

A proxy is healthy once its rules are in force, unless a change has been waiting for longer than twice the sync period.
``/livez`` asks no more than that: it is for whoever restarts the proxy. ``/healthz`` is for load balancers that choose
nodes (KEP-3836): 503 as well where the node is being deleted, carries the autoscaler's taint, or is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seamark.compile.ruleset import Family
from seamark.machinery.clock import Clock
from seamark.model.node import Node

AUTOSCALER_TAINT = "ToBeDeletedByClusterAutoscaler"


@dataclass(slots=True)
class _State:
    updated: float = 0.0
    updated_monotonic: float | None = None
    pending_since: float | None = None


class ProxyHealth:
    """``sync_period`` is kube-proxy's; a change may wait for twice of it."""

    def __init__(self, clock: Clock, families: Iterable[Family], *, sync_period: float = 30.0) -> None:
        self._clock = clock
        self._patience = 2 * sync_period
        self._families: dict[Family, _State] = {family: _State() for family in families}
        self._node: Node | None = None
        self._error = ""

    def failed(self, error: str) -> None:
        """What was to be applied was refused, and is tried again."""
        self._error = error

    def queued(self) -> None:
        """Something is to be applied."""
        for state in self._families.values():
            if state.pending_since is None:
                state.pending_since = self._clock.monotonic()

    def updated(self) -> None:
        """Everything known is in force."""
        self._error = ""
        for state in self._families.values():
            state.updated = self._clock.time()
            state.updated_monotonic = self._clock.monotonic()
            state.pending_since = None

    def observe_node(self, node: Node | None) -> None:
        self._node = node

    @property
    def is_healthy(self) -> bool:
        return all(map(self._is_well, self._families.values()))

    @property
    def is_node_eligible(self) -> bool:
        node = self._node
        if node is None or node.metadata.deletion_timestamp is not None:
            return False
        return all(taint.key != AUTOSCALER_TAINT for taint in node.spec.taints or [])

    def report(self, *, node: bool) -> tuple[int, dict[str, Any]]:
        """Status code and JSON of ``/healthz`` (``node``: its eligibility counts) or ``/livez``."""
        healthy, eligible = self.is_healthy, self.is_node_eligible
        states = {
            family: {"lastUpdated": _shown(state.updated), "healthy": self._is_well(state)}
            for family, state in self._families.items()
        }
        found: dict[str, Any] = {
            "lastUpdated": _shown(min(state.updated for state in self._families.values())),
            "currentTime": _shown(self._clock.time()),
            **({"nodeEligible": eligible} if node else {}),
            "healthy": healthy,
            "status": states,
            **({"error": self._error} if self._error else {}),
        }
        return 200 if healthy and (eligible or not node) else 503, found

    def _is_well(self, state: _State) -> bool:
        if state.updated_monotonic is None:
            return False
        return state.pending_since is None or self._clock.monotonic() - state.pending_since < self._patience


def _shown(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if unix else "0001-01-01T00:00:00Z"
