"""A structural schema as a tree made for walking: what prunes, defaults and owns; the rest stays in ``raw``.

It is parsed from a JSONSchemaProps that has passed ``rules``; value validation reads ``raw`` (see ``validate``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from seamark.machinery import schema as table

Raw = dict[str, Any]

UNSET = msgspec.UNSET


class Structural:
    """One node. ``additional`` is the schema of other members, or whether there may be any at all."""

    __slots__ = (
        "additional",
        "default",
        "embedded",
        "has_defaults",
        "int_or_string",
        "items",
        "list_keys",
        "list_type",
        "map_type",
        "nullable",
        "preserve",
        "properties",
        "raw",
        "type",
    )

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.type: str = raw.get("type") or ""
        self.nullable = bool(raw.get("nullable"))
        self.default: Any = raw.get("default", UNSET)
        self.preserve = bool(raw.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(raw.get("x-kubernetes-embedded-resource"))
        self.int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
        self.list_type: str = raw.get("x-kubernetes-list-type") or ""
        self.list_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = raw.get("x-kubernetes-map-type") or ""
        items = raw.get("items")
        self.items = Structural(items) if isinstance(items, dict) else None
        self.properties = {name: Structural(inner) for name, inner in (raw.get("properties") or {}).items()}
        given = raw.get("additionalProperties")
        self.additional: Structural | bool | None = Structural(given) if isinstance(given, dict) else given
        if self.embedded and "metadata" in self.properties:
            _forget_foreign_defaults(self.properties["metadata"])
        self.has_defaults: bool = any(one.default is not UNSET or one.has_defaults for one in self._inner())

    def _inner(self) -> Iterator[Structural]:
        yield from self.properties.values()
        if isinstance(self.items, Structural):
            yield self.items
        if isinstance(self.additional, Structural):
            yield self.additional

    @property
    def others(self) -> Structural | None:
        """The schema of members that are no declared property."""
        return self.additional if isinstance(self.additional, Structural) else None

    def member(self, name: str) -> Structural | None:
        found = self.properties.get(name)
        return found if found is not None else self.others


def _forget_foreign_defaults(metadata: Structural) -> None:
    """Defaults of what is no field of ObjectMeta would be dropped again from every object."""
    known = table.named("meta.v1.ObjectMeta").fields
    for name, inner in metadata.properties.items():
        if name not in known:
            inner.default, inner.has_defaults = UNSET, False
    metadata.has_defaults = any(one.default is not UNSET or one.has_defaults for one in metadata.properties.values())


def parse_structural(raw: Raw | None) -> Structural:
    """Of a version without a schema, that of any object."""
    return Structural(raw if raw is not None else {"type": "object", "x-kubernetes-preserve-unknown-fields": True})


def find_schema(raw: Raw | None, wanted: Callable[[Raw], bool]) -> bool:
    """Whether any schema in the tree, of whatever place, is as wanted."""
    if not isinstance(raw, dict):
        return False
    return wanted(raw) or any(find_schema(inner, wanted) for inner in inner_schemas(raw))


def inner_schemas(raw: Raw) -> Iterator[Raw]:
    """Every schema directly inside this one."""
    for name in ("items", "not", "additionalProperties", "additionalItems"):
        if isinstance(raw.get(name), dict):
            yield raw[name]
    for name in ("items", "allOf", "anyOf", "oneOf"):
        if isinstance(raw.get(name), list):
            yield from raw[name]
    for name in ("properties", "patternProperties", "definitions", "dependencies"):
        yield from (one for one in (raw.get(name) or {}).values() if isinstance(one, dict))
