"""Lists that are sets or maps: no item twice."""

from __future__ import annotations

from typing import Any

from seamark.machinery.fielderrors import duplicate, invalid, shown
from seamark.machinery.status import Cause
from seamark.machinery.structural.schema import Structural

_NO_KEY: Any = object()


def validate_lists(value: Any, schema: Structural | None, path: str = "") -> list[Cause]:
    """A cause for each second item."""
    if schema is None:
        return []
    causes: list[Cause] = []
    if isinstance(value, dict):
        others = schema.others
        for name, member in value.items():
            if others is not None:
                causes += validate_lists(member, others, f"{path}[{name}]")
            if name in schema.properties:
                causes += validate_lists(member, schema.properties[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        if schema.list_type == "set":
            causes += [duplicate(f"{path}[{index}]", value[index]) for index in _repeated(value)]
        elif schema.list_type == "map":
            causes += _validate_map(value, schema, path)
        for index, item in enumerate(value):
            causes += validate_lists(item, schema.items, f"{path}[{index}]")
    return causes


def _validate_map(items: list[Any], schema: Structural, path: str) -> list[Cause]:
    for index, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            return [invalid(f"{path}[{index}]", item, "must be an object for an array of list-type map")]
    if len(schema.list_keys) == 1:
        (name,) = schema.list_keys
        keys = [(item or {}).get(name, _NO_KEY) for item in items]
        return [
            duplicate(f"{path}[{index}]", {} if keys[index] is _NO_KEY else {name: keys[index]})
            for index in _repeated(keys)
        ]
    found = [{name: item[name] for name in schema.list_keys if name in item} if item else {} for item in items]
    return [duplicate(f"{path}[{index}]", found[index]) for index in _repeated(found)]


def _repeated(values: list[Any]) -> list[int]:
    """The index at which a value stands for the second time; a third one is not told."""
    seen: dict[Any, int] = {}
    found: list[int] = []
    for index, value in enumerate(values):
        key = _identity(value)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            found.append(index)
    return found


def _identity(value: Any) -> Any:
    """Hashable; Go compares scalars with their type, and all else as it is written."""
    return shown(value) if isinstance(value, dict | list) else (type(value), value)
