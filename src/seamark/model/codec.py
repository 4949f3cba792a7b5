"""Bytes and dicts to projections: the one place where msgspec meets the model.

Go writes ``null`` for nil maps and slices and omits the rest; projections declare such fields optional, and a
``null`` scalar is treated as absent, as Go's decoder does.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)


def decode(data: bytes | bytearray | memoryview | msgspec.Raw, kind: type[T]) -> T:
    """JSON bytes as ``kind``.

    Raises msgspec.ValidationError, with the path of the first field that does not fit.
    """
    try:
        found: T = _decoder(kind).decode(data)  # type: ignore[arg-type]  # types are hashable
        return found
    except msgspec.ValidationError:
        return convert(msgspec.json.decode(data), kind)


def convert(obj: Any, kind: type[T]) -> T:
    """Plain dicts and lists as ``kind``; nulls are dropped first."""
    return msgspec.convert(_without_nulls(obj), kind)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value
