"""What a proxy tells of itself: metrics and health, fed by the loop at the moments that count.

``take`` hands the changes of one round over; ``applied`` dates them, ``failed`` puts them back, so that a change that
comes while another is on its way to the kernel is not called in force too early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from seamark.compile.endpoints import Slice
from seamark.compile.ruleset import Family, PortKey, PortRules
from seamark.machinery.clock import Clock, parse_time
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME, ObjectKey
from seamark.model.node import Node
from seamark.proxy.health import ProxyHealth
from seamark.proxy.metrics import ProxyMetrics


class Dated(NamedTuple):
    """A change: added, changed or removed; when it was committed (0.0 = nobody tells) and how well that is known."""

    change: str
    committed: float
    known: str


@dataclass(slots=True)
class Round:
    """What changed since the last round: the first change of each object, and for slices when their cause happened."""

    services: dict[ObjectKey, Dated] = field(default_factory=dict)
    slices: dict[ObjectKey, Dated] = field(default_factory=dict)
    triggers: dict[ObjectKey, tuple[Family, float]] = field(default_factory=dict)


class Monitor:
    def __init__(self, clock: Clock, families: Iterable[Family], *, mode: str, sync_period: float = 30.0) -> None:
        self.metrics = ProxyMetrics(mode)
        self.health = ProxyHealth(clock, families, sync_period=sync_period)
        self.clock = clock
        self._families = tuple(families)
        self._begun = clock.time()
        self._changes = Round()
        self._started = False
        self._queued = 0.0
        self._synced: dict[Family, float] = {}
        for family in self._families:
            self.metrics.last_queued.labels(family).set_function(lambda: self._queued)
        self.metrics.services_pending.set_function(lambda: len(self._changes.services))
        self.metrics.endpoints_pending.set_function(lambda: len(self._changes.slices))
        self._no_local: dict[tuple[Family, str], set[PortKey]] = {
            (family, policy): set() for family in families for policy in ("internal", "external")
        }
        for labels, keys in self._no_local.items():
            self.metrics.no_local.labels(*labels).set_function(partial(len, keys))

    def observe_service(self, key: ObjectKey, dated: Dated) -> None:
        self.metrics.service_changes.inc()
        self._changes.services.setdefault(key, dated)
        self._queue()

    def observe_slice(self, piece: Slice, dated: Dated, *, gone: bool) -> None:
        self.metrics.endpoint_changes.inc()
        self._changes.slices.setdefault(piece.key, dated)
        trigger = (piece.metadata.annotations or {}).get(LAST_CHANGE_TRIGGER_TIME, "")
        at = _time(trigger)
        if at >= self._begun and not gone and piece.address_type in self._families:
            self._changes.triggers.setdefault(piece.key, ("IPv6" if piece.address_type == "IPv6" else "IPv4", at))
        self._queue()

    def observe_node(self, node: Node | None) -> None:
        self.health.observe_node(node)

    def take(self) -> Round:
        taken, self._changes = self._changes, Round()
        return taken

    def synced(self, family: Family, seconds: float, *, whole: bool) -> None:
        """One family's rules are in force."""
        self.metrics.sync.observe(seconds, family)
        (self.metrics.sync_full if whole else self.metrics.sync_partial).observe(seconds, family)
        if family not in self._synced:
            self.metrics.last_sync.labels(family).set_function(partial(self._synced.__getitem__, family))
        self._synced[family] = self.clock.time()

    def applied(self, changes: Round, ports: Mapping[Family, Mapping[PortKey, PortRules | None]]) -> None:
        """A round is in force. The first load dates nothing: it is no change."""
        now, metrics = self.clock.time(), self.metrics
        if self._started:
            for resource, found in (("services", changes.services), ("endpointslices", changes.slices)):
                for dated in found.values():
                    if dated.committed:
                        took = max(0.0, now - dated.committed)
                        metrics.propagation.observe(took, resource, dated.change, dated.known)
            for family, at in changes.triggers.values():
                metrics.programming.observe(max(0.0, now - at), family)
        self._started = True
        self._count_local(ports)
        self.health.updated()
        if self._changes.services or self._changes.slices:
            self.health.queued()

    def failed(self, changes: Round, error: str) -> None:
        """The round is to be done again."""
        self.health.failed(error)
        for mine, theirs in (
            (self._changes.services, changes.services),
            (self._changes.slices, changes.slices),
        ):
            mine.update(theirs)
        self._changes.triggers.update(changes.triggers)
        for family in self._families:
            self.metrics.failures.labels(family).inc()
        self.health.queued()

    def _queue(self) -> None:
        """For each event: a load brings tens of thousands, so metrics read what is noted here when they are asked."""
        self._queued = self.clock.time()
        self.health.queued()

    def _count_local(self, ports: Mapping[Family, Mapping[PortKey, PortRules | None]]) -> None:
        for family, changes in ports.items():
            inside, outside = self._no_local[family, "internal"], self._no_local[family, "external"]
            for key, rules in changes.items():
                _note(inside, key, dropped=rules is not None and rules.internal.action == "drop")
                _note(outside, key, dropped=rules is not None and rules.external.action == "drop")


def _note(keys: set[PortKey], key: PortKey, *, dropped: bool) -> None:
    if dropped:
        keys.add(key)
    elif keys:
        keys.discard(key)


def _time(text: str) -> float:
    try:
        return parse_time(text) if text else 0.0
    except ValueError:
        return 0.0
