"""Server-side Tables and partial objects: what ``kubectl get`` shows, out of a row's columns.

A table in a watch carries its column definitions only with the first event; the code here makes rows, the verbs
decide when columns go along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seamark.api.objects import Obj
from seamark.machinery.gvr import GVR
from seamark.machinery.status import bad_request
from seamark.resources.columns import age_cell, name_cell
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
) -> Iterator[dict[str, Any]]:
    """One row for each object, made when it is asked for: a large table never has all its objects alive."""
    cells = [_cell_of(column) for column in row.columns]
    for obj in objects:
        yield {"cells": [cell(obj, now) for cell in cells], "object": _shown(obj, include, version)}


def _cell_of(column: Column) -> Callable[[Obj, float], Any]:
    """Name and Age are the same for every kind, so rows leave them out."""
    return column.cell or (name_cell if column.name == "Name" else age_cell)


def _shown(obj: Obj, include: str, version: str) -> Any:
    if include == "Object":
        return obj
    return None if include == "None" else render_partial(obj, version)


def render_partial(obj: Obj, version: str) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def list_kind(row: Resource, gvr: GVR) -> str:
    return row.custom.list_kind if row.custom is not None else f"{gvr.kind}List"
