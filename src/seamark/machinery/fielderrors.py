"""Field errors in Kubernetes' words: one constructor per kind, each giving a ``Cause`` for ``status.invalid``.

The texts follow k8s.io/apimachinery/pkg/util/validation/field: ``Invalid value: "x": must be …``; a value is shown
as Go prints it (strings quoted, structures as compact JSON), so that kubectl's output is the familiar one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from seamark.machinery.status import Cause

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"} | {
    "\t": "\\t",
    "\v": "\\v",
}


def quote(text: str) -> str:
    """A string as Go's ``%q`` prints it."""
    return '"' + "".join(_quoted_char(char) for char in text) + '"'


def _quoted_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(value: Any) -> str:
    """A value as it stands in a field error."""
    if isinstance(value, str):
        return quote(value)
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _plain(value: Any) -> Any:
    """Go prints a float that is a whole number without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _text(kind: str, value: Any, detail: str) -> str:
    text = f"{kind}: {shown(value)}"
    return f"{text}: {detail}" if detail else text


def invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", _text("Invalid value", value, detail), field)


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueTypeInvalid", _text("Invalid value", value, detail), field)


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", field)


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", _text("Duplicate value", value, ""), field)


def not_found(field: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", _text("Not found", value, ""), field)


def not_supported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    listed = ", ".join(quote(one) for one in supported)
    return Cause(
        "FieldValueNotSupported",
        _text("Unsupported value", value, f"supported values: {listed}" if listed else ""),
        field,
    )


def forbidden(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def too_long(field: str, maximum: int) -> Cause:
    unit = "byte" if maximum == 1 else "bytes"
    return Cause("FieldValueTooLong", f"Too long: may not be more than {maximum} {unit}", field)


def too_many(field: str, actual: int, maximum: int) -> Cause:
    unit = "item" if maximum == 1 else "items"
    return Cause("FieldValueTooMany", _text("Too many", actual, f"must have at most {maximum} {unit}"), field)
