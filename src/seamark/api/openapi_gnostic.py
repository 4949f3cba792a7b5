"""The v2 document in gnostic's protobuf form, which is the only one that kubectl can read of v2.

kubectl asks it for every word it does not know (a manifest of a kind that is not served) and, up to 1.28, before any
``apply``; what it cannot read there it reports instead of the real reason. The tables below are gnostic's
OpenAPIv2.proto, as far as our documents go: JSON key → field number and shape. A key that stands in no table is an
error here, not a gap in the answer; ``x-…`` keys become vendor extensions, whose value is YAML (JSON is YAML).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Node = Mapping[str, Any]
Table = Mapping[str, tuple[int, str]]

_LENGTH_DELIMITED, _FIXED, _VARINT = 2, 1, 0

_TABLES: dict[str, tuple[Table, int]] = {  # name → fields by JSON key, and the number of vendor_extension
    "Document": (
        {
            "swagger": (1, "text"),
            "info": (2, "Info"),
            "paths": (8, "Paths"),
            "definitions": (9, "named Schema"),
            "security": (12, "requirements"),
            "securityDefinitions": (13, "named Security"),
        },
        16,
    ),
    "Info": ({"title": (1, "text"), "version": (2, "text")}, 7),
    "PathItem": (
        {
            "get": (2, "Operation"),
            "put": (3, "Operation"),
            "post": (4, "Operation"),
            "delete": (5, "Operation"),
            "patch": (8, "Operation"),
            "parameters": (9, "parameters"),
        },
        10,
    ),
    "Operation": (
        {
            "tags": (1, "texts"),
            "description": (3, "text"),
            "operationId": (5, "text"),
            "produces": (6, "texts"),
            "consumes": (7, "texts"),
            "parameters": (8, "parameters"),
            "responses": (9, "Responses"),
        },
        13,
    ),
    "Body": (
        {
            "description": (1, "text"),
            "name": (2, "text"),
            "in": (3, "text"),
            "required": (4, "flag"),
            "schema": (5, "Schema"),
        },
        6,
    ),
    "Query": (
        {
            "required": (1, "flag"),
            "in": (2, "text"),
            "description": (3, "text"),
            "name": (4, "text"),
            "type": (6, "text"),
            "uniqueItems": (20, "flag"),
        },
        23,
    ),
    "Path": (
        {
            "required": (1, "flag"),
            "in": (2, "text"),
            "description": (3, "text"),
            "name": (4, "text"),
            "type": (5, "text"),
            "uniqueItems": (19, "flag"),
        },
        22,
    ),
    "Response": ({"description": (1, "text"), "schema": (2, "schema item")}, 5),
    "Schema": (
        {
            "$ref": (1, "text"),
            "format": (2, "text"),
            "title": (3, "text"),
            "description": (4, "text"),
            "default": (5, "any"),
            "multipleOf": (6, "number"),
            "maximum": (7, "number"),
            "exclusiveMaximum": (8, "flag"),
            "minimum": (9, "number"),
            "exclusiveMinimum": (10, "flag"),
            "maxLength": (11, "integer"),
            "minLength": (12, "integer"),
            "pattern": (13, "text"),
            "maxItems": (14, "integer"),
            "minItems": (15, "integer"),
            "uniqueItems": (16, "flag"),
            "maxProperties": (17, "integer"),
            "minProperties": (18, "integer"),
            "required": (19, "texts"),
            "enum": (20, "anys"),
            "additionalProperties": (21, "schema or flag"),
            "type": (22, "type"),
            "items": (23, "schema item"),
            "properties": (25, "named Schema"),
            "externalDocs": (29, "ExternalDocs"),
            "example": (30, "any"),
        },
        31,
    ),
    "ExternalDocs": ({"description": (1, "text"), "url": (2, "text")}, 3),
    "ApiKey": ({"type": (1, "text"), "name": (2, "text"), "in": (3, "text"), "description": (4, "text")}, 5),
}


def encode_document(document: Node) -> bytes:
    """A v2 document (``render_openapi_v2``) as openapi.v2.Document. Raises KeyError for a key without a place."""
    return _message(document, "Document")


def _message(node: Node, table: str) -> bytes:
    fields, extension = _TABLES[table]
    members: list[tuple[int, bytes]] = []
    for key, value in node.items():
        if key.startswith("x-"):
            members.append((extension, _field(extension, _text(1, key) + _field(2, _any(value)))))
        else:
            number, shape = fields[key]
            members.append((number, _member(number, shape, value)))
    members.sort(key=lambda member: member[0])  # as Go writes them
    return b"".join(payload for _, payload in members)


def _member(number: int, shape: str, value: Any) -> bytes:
    if shape in _TABLES:
        return _field(number, _message(value, shape))
    return _SHAPES[shape](number, value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _texts(number: int, values: list[str]) -> bytes:
    return b"".join(_text(number, value) for value in values)


def _flag(number: int, value: int) -> bytes:
    """A boolean; false is the default and is not written."""
    return _varint(number << 3 | _VARINT) + b"\1" if value else b""


def _any(value: Any) -> bytes:
    return _field(2, msgspec.json.encode(value) + b"\n")


def _named(number: int, entries: Node, inner: Callable[[Any], bytes]) -> bytes:
    """A map: a repeated pair of name and value."""
    pairs = (_text(1, name) + _field(2, inner(value)) for name, value in entries.items())
    return b"".join(_field(number, pair) for pair in pairs)


def _parameter(node: Node) -> bytes:
    """ParametersItem → Parameter → its form by where it stands."""
    if node["in"] == "body":
        return _field(1, _field(1, _message(node, "Body")))
    form, number = ("Path", 4) if node["in"] == "path" else ("Query", 3)
    return _field(1, _field(2, _field(number, _message(node, form))))


def _responses(number: int, value: Node) -> bytes:
    """Responses → code → ResponseValue → Response."""
    return _field(number, _named(1, value, lambda response: _field(1, _message(response, "Response"))))


_SHAPES: dict[str, Callable[[int, Any], bytes]] = {
    "text": _text,
    "texts": _texts,
    "flag": _flag,
    "any": lambda number, value: _field(number, _any(value)),
    "anys": lambda number, values: b"".join(_field(number, _any(value)) for value in values),
    "type": lambda number, value: _field(number, _text(1, value)),
    "number": lambda number, value: _varint(number << 3 | _FIXED) + struct.pack("<d", value) if value else b"",
    "integer": lambda number, value: _varint(number << 3 | _VARINT) + _varint(value) if value else b"",
    "schema or flag": lambda number, value: _field(
        number, _flag(2, value) if isinstance(value, bool) else _field(1, _message(value, "Schema"))
    ),
    "schema item": lambda number, value: _field(number, _field(1, _message(value, "Schema"))),
    "named Schema": lambda number, value: _field(number, _named(1, value, lambda node: _message(node, "Schema"))),
    "named Security": lambda number, value: _field(
        number, _named(1, value, lambda node: _field(2, _message(node, "ApiKey")))
    ),
    "requirements": lambda number, values: b"".join(
        _field(number, _named(1, value, lambda texts: _texts(1, texts))) for value in values
    ),
    "parameters": lambda number, values: b"".join(_field(number, _parameter(value)) for value in values),
    "Paths": lambda number, value: _field(number, _named(2, value, lambda node: _message(node, "PathItem"))),
    "Responses": _responses,
}
