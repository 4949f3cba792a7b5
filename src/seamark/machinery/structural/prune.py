"""Taking away what a schema does not know: unknown fields, and nulls where null is nothing."""

from __future__ import annotations

from typing import Any

from seamark.machinery.structural.schema import UNSET, Structural

Obj = dict[str, Any]

META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def prune(obj: Obj, schema: Structural) -> list[str]:
    """Drops unknown fields of a whole resource in place, and gives their paths in order."""
    found: list[str] = []
    if schema.preserve:
        _keep(obj, schema, "", found, is_resource=True)
    else:
        _prune_object(obj, schema, "", found, is_resource=True)
    return sorted(found)


def prune_value(value: Any, schema: Structural) -> list[str]:
    """The same for a value inside a resource."""
    found: list[str] = []
    _prune(value, schema, "", found)
    return found


def _prune(value: Any, schema: Structural | None, path: str, found: list[str]) -> None:
    if schema is not None and schema.preserve:
        _keep(value, schema, path, found, is_resource=schema.embedded)
    elif isinstance(value, dict):
        _prune_object(value, schema, path, found, is_resource=schema is not None and schema.embedded)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _prune(item, schema.items if schema else None, f"{path}[{index}]", found)


def _prune_object(value: Obj, schema: Structural | None, path: str, found: list[str], *, is_resource: bool) -> None:
    for name in list(value):
        if is_resource and name in META_FIELDS:
            continue
        inner = _join(path, name)
        if schema is not None and name in schema.properties:
            _prune(value[name], schema.properties[name], inner, found)
        elif schema is not None and schema.additional is not None:
            _prune(value[name], schema.others, inner, found)
        else:
            if path or name not in META_FIELDS:
                found.append(inner)
            del value[name]


def _keep(value: Any, schema: Structural | None, path: str, found: list[str], *, is_resource: bool) -> None:
    """Where unknown fields stay; what the schema does know is looked into."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            if is_resource and name in META_FIELDS:
                continue
            if name in schema.properties:
                _prune(member, schema.properties[name], _join(path, name), found)
            elif schema.additional is not None:
                _prune(member, schema.others, _join(path, name), found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _keep(
                item, schema.items, f"{path}[{index}]", found, is_resource=bool(schema.items and schema.items.embedded)
            )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def drop_nulls(value: Any, schema: Structural | None) -> None:
    """Drops in place every null that may not be null and has no default to take its place."""
    if isinstance(value, dict):
        for name in list(value):
            inner = schema.member(name) if schema else None
            if value[name] is None and inner is not None and not inner.nullable and inner.default is UNSET:
                del value[name]
            else:
                drop_nulls(value[name], inner)
    elif isinstance(value, list):
        for item in value:
            drop_nulls(item, schema.items if schema else None)
