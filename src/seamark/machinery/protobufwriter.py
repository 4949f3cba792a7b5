"""Objects of the schema table to the bytes of their protobuf messages, written directly: lists have many fields.

Gogo writes every scalar that is no pointer, zero or not, every struct, and fields by their numbers; so does this, and
gives the bytes that Kubernetes gives. A message is known by its name in the table; its fields' writers are made once.
Raises ValueError, TypeError, AttributeError or OverflowError for a value that its field cannot hold.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import msgspec

from seamark.machinery import schema
from seamark.machinery.protobuf_values import ZERO, json_to_bytes, parse_time
from seamark.machinery.schema import Field, Message

Obj = dict[str, Any]
Write = Callable[[Any], bytes]
"""A value as bytes: with its field's tag, or of a message what stands behind its length."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_RANGES = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_EMPTY_STRUCTS = ("", "quantity")  # written though nothing is in them; times and raw JSON are nil then


def encode_message(name: str, obj: Obj) -> bytes:
    return _writer(name)(obj)


def varint(value: int) -> bytes:
    """Negative numbers as their 64 bits."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


_SMALL = [bytes((number,)) for number in range(0x80)]


def delimited(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def _tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


@cache
def _writer(name: str) -> Write:
    message = schema.named(name)
    if message.codec in ("schemaOrArray", "schemaOrBool", "schemaOrStrings"):
        return _schema_or(message)
    if message.codec:
        return _SPECIAL[message.codec]
    members: list[_Member] = []

    def write(obj: Obj) -> bytes:
        if not members:  # made at the first use, since messages may hold themselves
            members.extend(_member(field) for field in sorted(message.own, key=lambda field: field.number))
        get = obj.get
        return b"".join(
            [
                absent if (value := obj if name is None else get(name)) is None else one(value)
                for name, one, absent in members
            ]
        )

    return write


class _Member(NamedTuple):
    """A field of an object: what writes a value, tag and all, and what stands for none. An inline one has no name."""

    name: str | None
    write: Write
    absent: bytes


def _member(field: Field) -> _Member:
    if field.shape != "one":
        return _Member(field.name, _list(field) if field.shape == "list" else _map(field), b"")
    write, absent = _element(field), b""
    if not field.pointer and not field.is_message and field.type != "bytes":
        absent = write(ZERO[field.type])
    elif field.is_message and not field.pointer and not field.inline:
        codec = schema.named(field.type).codec
        empty = _writer(field.type)({}) if codec in _EMPTY_STRUCTS else b""
        absent = b"" if codec == "items" else delimited(_tag(field.number, _BYTES), empty)
    return _Member(None if field.inline else field.name, write, absent)


def _list(field: Field) -> Write:
    one = _element(field)
    return lambda items: b"".join([one(item) for item in items])


def _map(field: Field) -> Write:
    """An entry is a message of key and value, in the order of the keys."""
    tag, key_tag = _tag(field.number, _BYTES), _tag(1, _BYTES)
    one = _element(msgspec.structs.replace(field, number=2, shape="one"))

    def write(items: Any) -> bytes:
        entries = [delimited(key_tag, key.encode()) + one(items[key]) for key in sorted(items)]
        return b"".join([delimited(tag, entry) for entry in entries])

    return write


def _element(field: Field) -> Write:
    """One of a list or map; a null is the zero of its type."""
    if not field.is_message:
        return _scalar(field)
    tag, content = _tag(field.number, _BYTES), _writer(field.type)
    return lambda value: delimited(tag, content(value) if value is not None else b"")


def _scalar(field: Field) -> Write:
    if field.type == "string":
        tag = _tag(field.number, _BYTES)
        return lambda value: delimited(tag, value.encode())
    if field.type == "bytes":
        tag = _tag(field.number, _BYTES)
        return lambda value: delimited(tag, json_to_bytes(value))
    if field.type in ("double", "float"):
        layout, kind = ("<d", _FIXED64) if field.type == "double" else ("<f", _FIXED32)
        tag = _tag(field.number, kind)
        return lambda value: tag + struct.pack(layout, value)
    return _number(field)


def _number(field: Field) -> Write:
    tag = _tag(field.number, _VARINT)
    low, high = _RANGES.get(field.type, (0, 1))  # a bool is one of two numbers

    def write(value: Any) -> bytes:
        if not low <= value <= high:
            raise ValueError(f"{value} does not fit {field.name}, which is of type {field.type}")
        return tag + varint(int(value))

    return write


def _schema_or(message: Message) -> Write:
    """A JSON schema, or what else may stand in its place: the message has a field for each."""
    inner = next(field for field in message.own if field.type.endswith(".JSONSchemaProps") and field.shape == "one")
    other = next(field for field in message.own if field is not inner)

    def write(value: Any) -> bytes:
        parts = {}
        if isinstance(value, dict):
            parts[inner.number] = _element(inner)(value)
        if other.shape == "one":
            parts[other.number] = _scalar(other)(value is not False)
        elif isinstance(value, list):
            parts[other.number] = _list(other)(value)
        return b"".join(parts[number] for number in sorted(parts))

    return write


_F1, _F2, _F3 = (_tag(1, _BYTES), _tag(2, _VARINT), _tag(3, _BYTES))
_F1_NUMBER = _tag(1, _VARINT)


def _time(value: Any) -> bytes:
    return _F1_NUMBER + varint(parse_time(value)[0]) + _F2 + b"\x00"


def _micro_time(value: Any) -> bytes:
    seconds, micros = parse_time(value)
    return _F1_NUMBER + varint(seconds) + _F2 + varint(micros * 1000)


def _int_or_string(value: Any) -> bytes:
    is_text = isinstance(value, str)
    number, text = (0, value) if is_text else (value, "")
    return _F1_NUMBER + varint(int(is_text)) + _F2 + varint(int(number)) + delimited(_F3, text.encode())


def _duration(_: Any) -> bytes:
    raise ValueError("a metav1.Duration has no protobuf form here")


def _raw(value: Any) -> bytes:
    return delimited(_F1, msgspec.json.encode(value))


_SPECIAL: dict[str, Write] = {
    "time": _time,
    "microTime": _micro_time,
    "quantity": lambda value: delimited(_F1, b"0" if value == {} else str(value).encode()),
    "intOrString": _int_or_string,
    "raw": _raw,
    "json": _raw,
    "fieldsV1": _raw,
    "items": lambda value: b"".join(delimited(_F1, one.encode()) for one in value),
    "duration": _duration,
}
