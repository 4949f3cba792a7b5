"""Messages of Kubernetes' protobuf whose JSON is a single value: times, quantities, int-or-strings, raw JSON, bytes.

Each makes the JSON value of a wire message, whose fields are called after their numbers (``f1``), as ``protobuf``
describes them. ``protobufwriter`` has the other direction.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAGIC = b"k8s\x00"

ZERO: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "uint32": 0,
    "uint64": 0,
    "double": 0.0,
    "float": 0.0,
}


def bytes_to_json(value: bytes) -> str:
    return base64.b64encode(value).decode()


def json_to_bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError(f"illegal base64 data: {error}") from None


def _time_to_json(wire: Any) -> str | None:
    if not wire.ByteSize():
        return None  # the zero time
    moment = _EPOCH + timedelta(seconds=wire.f1)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")


def _micro_time_to_json(wire: Any) -> str | None:
    if not wire.ByteSize():
        return None
    moment = _EPOCH + timedelta(seconds=wire.f1, microseconds=wire.f2 // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}".rjust(27, "0")


def parse_time(value: Any) -> tuple[int, int]:
    """Seconds and microseconds since 1970, exactly."""
    passed = datetime.fromisoformat(str(value).replace("Z", "+00:00")) - _EPOCH
    return passed // timedelta(seconds=1), passed.microseconds


def _quantity_to_json(wire: Any) -> str:
    return wire.f1 or "0"


def _int_or_string_to_json(wire: Any) -> int | str:
    found: int | str = wire.f3 if wire.f1 == 1 else wire.f2
    return found


def raw_to_json(wire: Any, decode_enveloped: Callable[[bytes], Any]) -> Any:
    """A runtime.RawExtension: JSON, or (in a List's items) a protobuf body of its own."""
    raw: bytes = wire.f1
    if raw.startswith(_MAGIC):
        return decode_enveloped(raw)
    return msgspec.json.decode(raw) if raw else None


def _fields_to_json(wire: Any) -> Any:
    return msgspec.json.decode(wire.f1) if wire.f1 else None


def _items_to_json(wire: Any) -> list[Any]:
    return list(wire.f1)


def _duration_refused(*_: Any) -> Any:
    raise ValueError("a metav1.Duration has no protobuf form here")


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "json": _fields_to_json,
    "time": _time_to_json,
    "microTime": _micro_time_to_json,
    "quantity": _quantity_to_json,
    "intOrString": _int_or_string_to_json,
    "fieldsV1": _fields_to_json,
    "items": _items_to_json,
    "duration": _duration_refused,
}
