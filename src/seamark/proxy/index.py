"""What the informers told, by Service, and what it means in service ports: only changed Services are compiled anew.

Knows no kernel and no client: objects in, changed ``PortRules`` out. Several changes of one Service between two
``take``s are one; ``Pending.seen`` keeps when the first of them arrived, for the propagation record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from seamark.compile.endpoints import Slice
from seamark.compile.ruleset import Family, NodeConfig, PortKey, PortRules, compile_service
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

Changes = dict[PortKey, PortRules | None]


@dataclass(frozen=True, slots=True)
class Pending:
    """Changes of service ports, and the Services they are from with the time their first event was seen."""

    ports: Mapping[Family, Changes]
    seen: Mapping[ObjectKey, float]


class ServiceIndex:
    """One node's view of all Services, for each of its families."""

    def __init__(self, node: NodeConfig, families: tuple[Family, ...]) -> None:
        self.node = node
        self._services: dict[ObjectKey, Service] = {}
        self._slices: dict[ObjectKey, dict[ObjectKey, Slice]] = {}
        self._rules: dict[Family, dict[ObjectKey, tuple[PortRules, ...]]] = {family: {} for family in families}
        self._dirty: dict[ObjectKey, float] = {}

    @property
    def is_dirty(self) -> bool:
        return bool(self._dirty)

    def observe_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        if new is not None:
            self._services[new.key] = new
            self._mark(new.key, seen)
        elif old is not None:
            self._services.pop(old.key, None)
            self._mark(old.key, seen)

    def observe_slice(self, old: Slice | None, new: Slice | None, seen: float) -> None:
        """A slice may move to another Service by its label: both are compiled anew."""
        before = old.service_key if old is not None else None
        after = new.service_key if new is not None else None
        if old is not None and before is not None:
            if before != after:
                self._drop_slice(before, old.key)
            self._mark(before, seen)
        if new is not None and after is not None:
            self._slices.setdefault(after, {})[new.key] = new
            self._mark(after, seen)

    def observe_node(self, node: NodeConfig, seen: float) -> bool:
        """Another zone or other addresses decide every Service anew. True if anything changed."""
        if node == self.node:
            return False
        self.node = node
        for key in self._services:
            self._mark(key, seen)
        return True

    def take(self, most: int = 0) -> Pending:
        """The service ports that changed since the last time, compiled; of so many Services at most, 0 = all."""
        if most and len(self._dirty) > most:
            dirty = {key: self._dirty.pop(key) for key in list(islice(self._dirty, most))}
        else:
            dirty, self._dirty = self._dirty, {}
        changes: dict[Family, Changes] = {family: {} for family in self._rules}
        for key in dirty:
            for family, known in self._rules.items():
                before, after = known.pop(key, ()), self._compile(key, family)
                if not before and not after:
                    continue
                if after:
                    known[key] = after
                changed, gone = changes[family], {rules.key: rules for rules in before}
                for rules in after:
                    if gone.pop(rules.key, None) != rules:
                        changed[rules.key] = rules
                changed.update(dict.fromkeys(gone))
        return Pending(changes, dirty)

    def is_routed(self, ip: str) -> bool:
        """Whether new connections may be sent there, as last taken; the last resort to terminating ones aside."""
        return any(ip in _staying(ports) for known in self._rules.values() for ports in known.values())

    def rules(self, family: Family) -> dict[PortKey, PortRules]:
        """All service ports as last taken."""
        return {rules.key: rules for rules in self.all_rules(family)}

    def all_rules(self, family: Family) -> Iterator[PortRules]:
        return chain.from_iterable(self._rules[family].values())

    def rules_of(self, family: Family, service: ObjectKey) -> tuple[PortRules, ...]:
        """The ports of one Service as last taken."""
        return self._rules[family].get(service, ())

    def slices_of(self, service: ObjectKey) -> tuple[Slice, ...]:
        return tuple(self._slices.get(service, {}).values())

    def _compile(self, key: ObjectKey, family: Family) -> tuple[PortRules, ...]:
        service = self._services.get(key)
        if service is None:
            return ()
        return compile_service(service, self._slices.get(key, {}).values(), self.node, family=family)

    def _drop_slice(self, service: ObjectKey, piece: ObjectKey) -> None:
        kept = self._slices.get(service, {})
        kept.pop(piece, None)
        if not kept:
            self._slices.pop(service, None)

    def _mark(self, key: ObjectKey, seen: float) -> None:
        self._dirty.setdefault(key, seen)


def _staying(ports: Iterable[PortRules]) -> Iterable[str]:
    """The addresses the ports send to, without those that are on their way out."""
    for rules in ports:
        for target in (rules.internal, rules.external, rules.external_short_circuit):
            yield from (e.ip for e in target.endpoints if not e.terminating) if target else ()
