"""Columns and selectable fields of a custom kind: what its definition's JSONPaths find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from seamark.machinery.jsonpath import Path, PathError, find_all, find_first, parse_path
from seamark.resources.access import entries, text
from seamark.resources.columns import since
from seamark.resources.registry import NAME, Column, Obj

_AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "When the object was created, in UTC.",
}


def custom_columns(version: Obj) -> tuple[Column, ...]:
    """The declared ones behind the name; a path that cannot be read makes all of them the default ones."""
    declared = entries(version, "additionalPrinterColumns") or [_AGE]
    try:
        return (NAME, *(_column(one) for one in declared))
    except PathError:
        return (NAME, _column(_AGE))


def _column(declared: Obj) -> Column:
    path = text(declared, "jsonPath")
    described = text(declared, "description")
    return Column(
        text(declared, "name"),
        type=text(declared, "type"),
        format=text(declared, "format"),
        priority=int(declared.get("priority") or 0),
        description=described or f"Custom resource definition column (in JSONPath format): {path}",
        cell=_cell(parse_path(path), text(declared, "type")),
    )


def _cell(path: Path, kind: str) -> Callable[[Obj, float], Any]:
    show = _SHOWN[kind]

    def cell(obj: Obj, now: float) -> Any:
        value = find_first(path, obj)
        return None if value is None else show(value, now)

    return cell


def as_text(value: Any) -> str:
    """As Go prints it: structures are JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted").decode()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SHOWN: Mapping[str, Callable[[Any, float], Any]] = {
    "string": lambda value, now: as_text(value),
    "integer": lambda value, now: int(value) if _is_number(value) else None,
    "number": lambda value, now: value if _is_number(value) else None,
    "boolean": lambda value, now: value if isinstance(value, bool) else None,
    "date": lambda value, now: _age(value, now) if isinstance(value, str) else None,
}


def _age(value: str, now: float) -> str:
    shown = since(value, now)
    return "<invalid>" if value and shown == "<unknown>" else shown


def field_selectors(version: Obj) -> dict[str, Callable[[Obj], str]]:
    """By what a client calls them: ``spec.color``."""
    paths = [text(one, "jsonPath") for one in entries(version, "selectableFields")]
    return {path.removeprefix("."): _selected(parse_path(path)) for path in paths}


def _selected(path: Path) -> Callable[[Obj], str]:
    return lambda obj: next((as_text(one) for one in find_all(path, obj)), "")
