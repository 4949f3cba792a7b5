"""Messages of Kubernetes' protobuf whose JSON is a single value: times, quantities, int-or-strings, raw JSON, bytes.

One ``Codec`` each: ``decode`` makes the JSON value of a wire message, ``encode`` fills a wire message from the value.
Fields are called after their numbers (``f1``), as ``protobuf`` describes them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Codec:
    decode: Callable[[Any], Any]
    encode: Callable[[Any, Any], None]


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


def _parse_time(value: Any) -> tuple[int, int]:
    """Seconds and microseconds since 1970, exactly."""
    passed = datetime.fromisoformat(str(value).replace("Z", "+00:00")) - _EPOCH
    return passed // timedelta(seconds=1), passed.microseconds


def _time_from_json(value: Any, wire: Any) -> None:
    if value is not None:
        wire.f1, wire.f2 = _parse_time(value)[0], 0


def _micro_time_from_json(value: Any, wire: Any) -> None:
    if value is not None:
        seconds, micros = _parse_time(value)
        wire.f1, wire.f2 = seconds, micros * 1000


def _quantity_to_json(wire: Any) -> str:
    return wire.f1 or "0"


def _quantity_from_json(value: Any, wire: Any) -> None:
    wire.f1 = "0" if value == {} else str(value)


def _int_or_string_to_json(wire: Any) -> int | str:
    found: int | str = wire.f3 if wire.f1 == 1 else wire.f2
    return found


def _int_or_string_from_json(value: Any, wire: Any) -> None:
    is_text = isinstance(value, str)
    wire.f1, wire.f2, wire.f3 = int(is_text), 0 if is_text else value, value if is_text else ""


def raw_to_json(wire: Any, decode_enveloped: Callable[[bytes], Any]) -> Any:
    """A runtime.RawExtension: JSON, or (in a List's items) a protobuf body of its own."""
    raw: bytes = wire.f1
    if raw.startswith(_MAGIC):
        return decode_enveloped(raw)
    return msgspec.json.decode(raw) if raw else None


def raw_from_json(value: Any, wire: Any) -> None:
    wire.f1 = b"" if value is None else msgspec.json.encode(value)


def _fields_to_json(wire: Any) -> Any:
    return msgspec.json.decode(wire.f1) if wire.f1 else None


def _items_to_json(wire: Any) -> list[Any]:
    return list(wire.f1)


def _items_from_json(value: Any, wire: Any) -> None:
    wire.f1.extend(value)


def _duration_refused(*_: Any) -> Any:
    raise ValueError("a metav1.Duration has no protobuf form here")


def _json_from_value(value: Any, wire: Any) -> None:
    wire.f1 = msgspec.json.encode(value)


SPECIAL = {
    "json": Codec(_fields_to_json, _json_from_value),
    "time": Codec(_time_to_json, _time_from_json),
    "microTime": Codec(_micro_time_to_json, _micro_time_from_json),
    "quantity": Codec(_quantity_to_json, _quantity_from_json),
    "intOrString": Codec(_int_or_string_to_json, _int_or_string_from_json),
    "fieldsV1": Codec(_fields_to_json, raw_from_json),
    "items": Codec(_items_to_json, _items_from_json),
    "duration": Codec(_duration_refused, _duration_refused),
}
