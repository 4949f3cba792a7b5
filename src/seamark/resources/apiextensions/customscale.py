"""Where a custom kind keeps its replicas, for its scale subresource."""

from __future__ import annotations

from typing import Any

from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.registry import Causes, Obj, ScalePaths

_MAX = 2**31 - 1
_GO_KINDS = {str: "string", bool: "bool", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}


def scale_paths(version: Obj) -> ScalePaths | None:
    scale = section(version, "subresources").get("scale")
    if not isinstance(scale, dict):
        return None
    selector = text(scale, "labelSelectorPath")
    return ScalePaths(
        _split(text(scale, "specReplicasPath")),
        _split(text(scale, "statusReplicasPath")),
        _split(selector) if selector else (),
    )


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.removeprefix(".").split("."))


def validate_scale(obj: Obj, paths: ScalePaths | None, *, status_alone: bool = False) -> Causes:
    if paths is None:
        return []
    causes: Causes = []
    for path in (paths.status,) if status_alone else (paths.spec, paths.status):
        value, problem = find_value(obj, path, int)
        where = "." + ".".join(path)
        if problem:
            causes.append(field.invalid(where, 0, problem))
        elif value is not None and value < 0:
            causes.append(field.invalid(where, value, "should be a non-negative integer"))
        elif value is not None and value > _MAX:
            causes.append(field.invalid(where, value, f"should be less than or equal to {_MAX}"))
    if paths.selector:
        _, problem = find_value(obj, paths.selector, str)
        causes += [field.invalid("." + ".".join(paths.selector), "", problem)] if problem else []
    return causes


def find_value(obj: Obj, path: tuple[str, ...], kind: type) -> tuple[Any, str]:
    """The value of that type, None where there is none; and why it is not to be had."""
    found: Any = obj
    for index, name in enumerate(path):
        if not isinstance(found, dict):
            shown = _GO_KINDS.get(type(found), "int64")
            where = "." + ".".join(path)
            return (
                None,
                f"{where} accessor error: {_plain(found)} is of the type {shown}, expected map[string]interface{{}}",
            )
        if name not in found:
            return None, ""
        found = found[name]
        if index < len(path) - 1 and found is None:
            return None, ""
    if type(found) is not kind:
        shown = "<nil>" if found is None else _GO_KINDS.get(type(found), "int64")
        wanted = "int64" if kind is int else "string"
        where = "." + ".".join(path)
        return None, f"{where} accessor error: {_plain(found)} is of the type {shown}, expected {wanted}"
    return found, ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)
