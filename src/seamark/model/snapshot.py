"""The snapshot: an immutable copy of what the informers hold, the one input of every compiler.

Kinds may lag one another (each has its own watch), so products must tolerate a Service without its slices and
the reverse. Mappings are read-only views; a new snapshot shares everything a change did not touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.model.service import Namespace, Service

Kind = Literal["Service", "EndpointSlice", "Pod", "Node", "Namespace"]
Observed = Service | EndpointSlice | Pod | Node | Namespace

_FIELDS: dict[str, str] = {
    "Service": "services",
    "EndpointSlice": "slices",
    "Pod": "pods",
    "Node": "nodes",
    "Namespace": "namespaces",
}


def _empty() -> Any:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    services: Mapping[ObjectKey, Service] = field(default_factory=_empty)
    slices: Mapping[ObjectKey, EndpointSlice] = field(default_factory=_empty)
    pods: Mapping[ObjectKey, Pod] = field(default_factory=_empty)
    nodes: Mapping[ObjectKey, Node] = field(default_factory=_empty)
    namespaces: Mapping[ObjectKey, Namespace] = field(default_factory=_empty)

    @classmethod
    def of(cls, objects: Iterable[Observed]) -> Snapshot:
        """A snapshot of the given objects; a later one of the same kind and key wins."""
        found: dict[str, dict[ObjectKey, Any]] = {name: {} for name in _FIELDS.values()}
        for obj in objects:
            found[_FIELDS[type(obj).__name__]][obj.key] = obj
        return cls(**{name: MappingProxyType(items) for name, items in found.items()})

    def slices_of(self, service: ObjectKey) -> tuple[EndpointSlice, ...]:
        """The slices labelled with this Service, by name. Linear: incremental products keep their own index."""
        found = (s for s in self.slices.values() if s.service_key == service)
        return tuple(sorted(found, key=lambda s: s.metadata.name))


@dataclass(frozen=True, slots=True)
class Change:
    """One observed change: ``old`` None = added, ``new`` None = deleted. ``committed`` is Unix seconds."""

    kind: Kind
    key: ObjectKey
    old: Observed | None
    new: Observed | None
    committed: float = 0.0


def apply_change(snapshot: Snapshot, change: Change) -> Snapshot:
    """The snapshot after one change. Copies one mapping: batch changes on hot paths keep mutable indexes instead."""
    name = _FIELDS[change.kind]
    items = dict(getattr(snapshot, name))
    if change.new is None:
        items.pop(change.key, None)
    else:
        items[change.key] = change.new
    return replace(snapshot, **{name: MappingProxyType(items)})
