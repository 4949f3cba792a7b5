"""What a CustomResourceDefinition's schema may declare, structural or not: apiextensions' checks of every node.

Rules in CEL (``x-kubernetes-validations``) are not evaluated by this server, so a schema that has some is refused:
objects that break them would be taken otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamark.machinery.fielderrors import forbidden, invalid, not_supported, required
from seamark.machinery.status import Cause
from seamark.machinery.structural.schema import Raw

TYPES = ("array", "boolean", "integer", "number", "object", "string")
NO_RULES = (
    "rules in CEL are not evaluated by this server; remove them, and have what they check checked elsewhere, "
    "to install this definition"
)
_META_FIELDS = ("metadata", "kind", "apiVersion")


@dataclass(frozen=True, slots=True)
class _Place:
    """``why`` says why there may be no default; empty where there may."""

    path: str
    why: str = ""
    in_metadata: bool = False

    def inside(self, step: str) -> _Place:
        return replace(self, path=self.path + step)


def validate_declared(raw: Raw, path: str) -> list[Cause]:
    return _node(raw, _Place(path), is_root=True)


def _node(raw: Raw, place: _Place, *, is_root: bool = False) -> list[Cause]:
    causes = _unsupported(raw, place)
    if raw.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        causes.append(forbidden(f"{place.path}.uniqueItems", detail))
    causes += _inner(raw, place, is_root=is_root)
    causes += _extensions(raw, place.path) + _list_type(raw, place.path)
    if raw.get("x-kubernetes-validations"):
        causes.append(forbidden(f"{place.path}.x-kubernetes-validations", NO_RULES))
    return causes


def _unsupported(raw: Raw, place: _Place) -> list[Cause]:
    path, kind = place.path, raw.get("type") or ""
    causes: list[Cause] = []
    if kind and kind not in TYPES:
        causes.append(not_supported(f"{path}.type", kind, TYPES))
    if raw.get("default") is not None and place.why:
        causes.append(forbidden(f"{path}.default", f"must not be set {place.why}"))
    causes += [forbidden(f"{path}.{key}", f"{key} is not supported") for key in _REFUSED if _is_given(raw, key)]
    if kind == "null":
        causes.append(forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    if isinstance(raw.get("items"), list) and raw["items"]:
        causes.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if place.in_metadata and raw.get("x-kubernetes-embedded-resource"):
        detail = "must not be used inside of resource meta"
        causes.append(forbidden(f"{path}.x-kubernetes-embedded-resource", detail))
    return causes


_REFUSED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")


def _is_given(raw: Raw, key: str) -> bool:
    return bool(raw.get(key)) if key in ("id", "patternProperties", "definitions") else raw.get(key) is not None


def _inner(raw: Raw, place: _Place, *, is_root: bool) -> list[Cause]:
    causes: list[Cause] = []
    properties, others = raw.get("properties") or {}, raw.get("additionalProperties")
    if properties and others is not None and others is not True:
        detail = "additionalProperties and properties are mutual exclusive"
        causes.append(forbidden(f"{place.path}.additionalProperties", detail))
    if isinstance(others, dict):
        below = place.inside(".additionalProperties")
        if place.in_metadata:
            below = replace(below, why="inside additionalProperties applying to object metadata")
        causes += _node(others, below)
    for name, inner in properties.items():
        below = place.inside(f".properties[{name}]")
        if (is_root or raw.get("x-kubernetes-embedded-resource")) and name in _META_FIELDS:
            below = replace(below, in_metadata=True, why=f"in top-level {name}" if is_root else below.why)
        causes += _node(inner, below)
    return causes + _quantified(raw, place) + _items(raw.get("items"), place)


def _quantified(raw: Raw, place: _Place) -> list[Cause]:
    causes = _node(raw["not"], place.inside(".not")) if isinstance(raw.get("not"), dict) else []
    for key in ("allOf", "oneOf", "anyOf"):
        for index, inner in enumerate(raw.get(key) or ()):
            causes += _node(inner, place.inside(f".{key}[{index}]"))
    for key in ("definitions", "dependencies"):
        for name, inner in (raw.get(key) or {}).items():
            causes += _node(inner, place.inside(f".{key}[{name}]")) if isinstance(inner, dict) else []
    return causes


def _items(items: object, place: _Place) -> list[Cause]:
    if isinstance(items, dict):
        return _node(items, place.inside(".items"))
    found = items if isinstance(items, list) else []
    return [cause for index, inner in enumerate(found) for cause in _node(inner, place.inside(f".items[{index}]"))]


def _extensions(raw: Raw, path: str) -> list[Cause]:
    causes: list[Cause] = []
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        causes.append(invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    for key, wanted, known in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "set", "map")),
    ):
        given, kind = raw.get(key), raw.get("type") or ""
        if given is None:
            continue
        if kind != wanted:
            detail = f"must be {wanted} if {key} is specified"
            causes.append(invalid(f"{path}.type", kind, detail) if kind else required(f"{path}.type", detail))
        if given not in known:
            causes.append(not_supported(f"{path}.{key}", given, known))
    return causes


def _list_type(raw: Raw, path: str) -> list[Cause]:
    list_type, keys, items = raw.get("x-kubernetes-list-type"), raw.get("x-kubernetes-list-map-keys"), raw.get("items")
    causes: list[Cause] = []
    if keys and list_type != "map":
        detail, where = "must be map if x-kubernetes-list-map-keys is non-empty", f"{path}.x-kubernetes-list-type"
        causes.append(required(where, detail) if list_type is None else invalid(where, list_type, detail))
    if list_type == "set" and isinstance(items, dict) and raw.get("type") == "array":
        causes += _set_items(items, f"{path}.items")
    if list_type == "map":
        causes += _map_items(raw, keys or [], path)
    if list_type in ("set", "map") and isinstance(items, dict):
        if items.get("nullable"):
            detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
            causes.append(forbidden(f"{path}.items.nullable", detail))
        causes += _map_keys(items, keys or [], f"{path}.items") if list_type == "map" else []
    return causes


def _set_items(items: Raw, path: str) -> list[Cause]:
    """Items of a set must be known as a whole. (Kubernetes shows the list type in both.)"""
    list_type, detail = (
        items.get("x-kubernetes-list-type"),
        "must be atomic as item of a list with x-kubernetes-list-type=set",
    )
    if items.get("type") == "array" and list_type not in (None, "atomic"):
        return [invalid(f"{path}.x-kubernetes-list-type", list_type, detail)]
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        return [invalid(f"{path}.x-kubernetes-map-type", list_type, detail)]
    return []


def _map_items(raw: Raw, keys: list[str], path: str) -> list[Cause]:
    items, where = raw.get("items"), f"{path}.x-kubernetes-list-map-keys"
    causes: list[Cause] = []
    if not keys:
        causes.append(required(where, "must not be empty if x-kubernetes-list-type is map"))
    if items is None:
        causes.append(required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
    if isinstance(items, list):
        detail = "must only have a single schema if x-kubernetes-list-type is map"
        causes.append(invalid(f"{path}.items", items, detail))
    if not isinstance(items, dict):
        return causes
    kind = items.get("type") or ""
    if kind != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        return [*causes, invalid(f"{path}.items.type", kind, detail)]
    for position, key in enumerate(keys):
        inner = (items.get("properties") or {}).get(key)
        if inner is None:
            causes.append(invalid(where, keys, "entries must all be names of item properties"))
        elif inner.get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            causes.append(invalid(f"{path}.items.properties[{key}].type", kind, detail))
        if key in keys[:position]:
            causes.append(invalid(where, keys, "must not contain duplicate entries"))
    return causes


def _map_keys(items: Raw, keys: list[str], path: str) -> list[Cause]:
    """Every key of an item must have a value."""
    causes: list[Cause] = []
    for key in keys:
        inner, where = (items.get("properties") or {}).get(key), f"{path}.properties[{key}]"
        if inner is None:
            continue
        if key not in (items.get("required") or ()) and inner.get("default") is None:
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            causes.append(required(f"{where}.default", detail))
        if inner.get("nullable"):
            detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            causes.append(forbidden(f"{where}.nullable", detail))
    return causes
