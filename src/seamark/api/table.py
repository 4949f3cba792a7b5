"""Server-side Tables and partial objects: what ``kubectl get`` shows, out of a row's columns.

A table in a watch carries its column definitions only with the first event; the code here makes rows, the verbs
decide when columns go along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamark.api.objects import Obj
from seamark.machinery.clock import parse_time
from seamark.machinery.gvr import GVR
from seamark.machinery.status import bad_request
from seamark.resources.registry import Column, Resource

INCLUDE_OBJECT = ("", "None", "Metadata", "Object")


def parse_include(value: str) -> str:
    """The ``includeObject`` parameter. Raises 400 for an unknown value."""
    if value not in INCLUDE_OBJECT:
        raise bad_request(f'includeObject: Invalid value: "{value}": must be None, Metadata, Object, or empty')
    return value or "Metadata"


def render_columns(row: Resource) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "type": c.type,
            "format": c.format,
            "description": c.description,
            "priority": c.priority,
        }
        for c in row.columns
    ]


def render_table(
    rows: list[dict[str, Any]], *, columns: list[dict[str, Any]] | None, version: str, metadata: dict[str, Any]
) -> dict[str, Any]:
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def render_rows(
    row: Resource, objects: Iterable[Obj], *, now: float, include: str, version: str
) -> list[dict[str, Any]]:
    return [
        {"cells": [_cell(c, obj, now) for c in row.columns], "object": _shown(obj, include, version)} for obj in objects
    ]


def _cell(column: Column, obj: Obj, now: float) -> Any:
    if column.cell is not None:
        return column.cell(obj, now)
    meta = obj["metadata"]
    return meta.get("name", "") if column.name == "Name" else age(meta.get("creationTimestamp"), now)


def _shown(obj: Obj, include: str, version: str) -> Any:
    if include == "Object":
        return obj
    return None if include == "None" else render_partial(obj, version)


def render_partial(obj: Obj, version: str) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def list_kind(gvr: GVR) -> str:
    return f"{gvr.kind}List"


def age(created: str | None, now: float) -> str:
    """The Age cell: ``5s``, ``3m10s``, ``6d17h``; ``<unknown>`` without a time."""
    if not created:
        return "<unknown>"
    try:
        return human_duration(now - parse_time(created))
    except ValueError:
        return "<invalid>"


def human_duration(seconds: float) -> str:
    """apimachinery's duration.HumanDuration: two units at most, coarser the longer it is."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"
