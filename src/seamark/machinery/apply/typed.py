"""Whether an applied configuration fits its kind, in structured-merge-diff's words.

Unlike other bodies an applied one is refused for a field that its kind does not have, whatever ``fieldValidation``
says: nobody could own it. Values are shown as Go prints them.
"""

from __future__ import annotations

import json
from typing import Any

from seamark.machinery.apply.items import ItemError, element_of
from seamark.machinery.apply.shape import ANY, KEYED, LIST, MAP, SET, STRUCT, Shape
from seamark.machinery.fieldset import render_path
from seamark.machinery.jsonvalue import MAX_DEPTH, is_deeper, print_json


class TypedError(Exception):
    """A configuration that is none of its kind; several faults stand on a line each."""


def check_typed(config: Any, shape: Shape) -> None:
    """Raises TypedError."""
    if is_deeper(config, MAX_DEPTH):
        raise TypedError(f"nested deeper than {MAX_DEPTH} levels")
    faults = _Faults()
    faults.look(config, shape, "")
    if faults.found:
        raise TypedError(faults.found[0] if len(faults.found) == 1 else "\n  ".join(["errors:", *faults.found]))


class _Faults:
    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, path: str, why: str) -> None:
        self.found.append(f"{path}: {why}" if path else why)

    def look(self, value: Any, shape: Shape, path: str) -> None:
        if value is None:
            return
        if shape.kind == ANY:
            shape = _deduced(value, shape)
        if shape.kind in (STRUCT, MAP, ANY):
            self._look_at_object(value, shape, path)
        elif shape.kind in (KEYED, SET, LIST):
            self._look_at_list(value, shape, path)
        else:
            self._look_at_scalar(value, shape.scalar, path)

    def _look_at_object(self, value: Any, shape: Shape, path: str) -> None:
        if not isinstance(value, dict):
            self.note(path, f"expected map, got {_printed(value)}")
            return
        for key, member in value.items():
            below = shape.below(key)
            if below is None:
                self.note(f"{path}.{key}", "field not declared in schema")
                return
            self.look(member, below, f"{path}.{key}")

    def _look_at_list(self, value: Any, shape: Shape, path: str) -> None:
        if not isinstance(value, list):
            self.note(path, f"expected list, got {_printed(value)}")
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            try:
                element = f"i:{index}" if shape.kind == LIST else element_of(item, shape)
            except ItemError as error:
                self.note(path, f"element {index}: {error}")
                return
            step = render_path((element,))
            if element in seen:
                self.note(path, f"duplicate entries for key {step}")
            seen.add(element)
            if shape.item is not None:
                self.look(item, shape.item, path + step)

    def _look_at_scalar(self, value: Any, scalar: str, path: str) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if scalar == "numeric" and not number:
            self.note(path, f"expected numeric (int or float), got {_type_name(value)}")
        elif scalar == "string" and not isinstance(value, str):
            self.note(path, f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}")
        elif scalar == "boolean" and not isinstance(value, bool):
            self.note(path, f"expected boolean, got {_printed(value)}")
        elif scalar == "untyped" and isinstance(value, dict | list):
            self.note(path, f"expected any scalar, got {_printed(value)}")


_ANY_LIST = Shape(LIST, item=Shape(ANY))
_ANY_SCALAR = Shape("scalar", scalar="untyped")


def _deduced(value: Any, shape: Shape) -> Shape:
    if isinstance(value, dict):
        return shape
    return _ANY_LIST if isinstance(value, list) else _ANY_SCALAR


def _printed(value: Any) -> str:
    return f"&{{{print_json(value)}}}"


def _type_name(value: Any) -> str:
    """Go's ``%T`` of a decoded value."""
    for kind, name in ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"), (dict, _GO_MAP)):
        if isinstance(value, kind):
            return name
    return "[]interface {}"


_GO_MAP = "map[string]interface {}"


def _go_syntax(value: Any) -> str:
    """Go's ``%#v``."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)}:{_go_syntax(value[key])}" for key in sorted(value))
        return f"{_GO_MAP}{{{inner}}}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_syntax, value)) + "}"
    return "interface {}(nil)" if value is None else json.dumps(value, ensure_ascii=False)
