"""Filling in a schema's defaults: for what is absent, and for a null that may not be null."""

from __future__ import annotations

from typing import Any

from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.structural.schema import UNSET, Structural


def apply_defaults(value: Any, schema: Structural | None) -> None:
    """In place. A default's own members get theirs."""
    if schema is None or not schema.has_defaults:
        return
    if isinstance(value, dict):
        _default_members(value, schema)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if item is None and schema.items is not None and not schema.items.nullable:
                value[index] = _default_of(schema.items)
            apply_defaults(value[index], schema.items)


def _default_members(value: dict[str, Any], schema: Structural) -> None:
    for name, inner in schema.properties.items():
        if inner.default is not UNSET and (name not in value or (value[name] is None and not inner.nullable)):
            value[name] = copy_json(inner.default)
    others = schema.others
    for name in value:
        inner_schema = schema.properties.get(name)
        if inner_schema is None and others is not None and value[name] is None and not others.nullable:
            value[name] = _default_of(others)
        apply_defaults(value[name], inner_schema if inner_schema is not None else others)


def _default_of(schema: Structural) -> Any:
    return None if schema.default is UNSET else copy_json(schema.default)
