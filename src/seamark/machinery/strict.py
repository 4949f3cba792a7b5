"""An object as Kubernetes' typed decoder would keep it, and what it says of the rest: a walk over the schema table.

``conform_object`` drops nulls and fields that the kind does not have (they are named in the findings), writes times
and quantities in canonical form and refuses, as a 400 with the field's path, values of the wrong JSON type. The API
turns findings into warnings, an error or nothing, as ``fieldValidation`` asks. Keys that stand twice are not to be
seen in a decoded object: ``duplicates`` looks for them.

Wording: ``json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32`` and
``unknown field "spec.template.spec.containers[0].imagee"`` are Go's and Kubernetes' own; where theirs name no field
(quantities, times, base64) the path stands in front.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from seamark.machinery import schema
from seamark.machinery.fielderrors import quote
from seamark.machinery.jsonvalue import MAX_DEPTH, copy_json, is_deeper, json_kind
from seamark.machinery.protobuf_values import ZERO, json_to_bytes
from seamark.machinery.quantity import QuantityError, canonical
from seamark.machinery.schema import Field, Message
from seamark.machinery.status import StatusError, bad_request

Obj = dict[str, Any]

_BITS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


class _Mismatch(Exception):
    """A value that its field cannot hold, with the message for it."""


def conform_object(value: Any, message: Message) -> tuple[Obj, tuple[str, ...]]:
    """A copy in the shape of its kind, and the findings (``unknown field "…"``) in the order of the fields."""
    walk = _Walk()
    try:
        if not isinstance(value, dict):
            raise _Mismatch(f"json: cannot unmarshal {json_kind(value)} into Go value of type {_go_name(message.name)}")
        return walk.message(value, message, ""), tuple(walk.findings)
    except _Mismatch as error:
        raise cannot_be_handled(message, str(error)) from None


def conform_part(value: Any, message: Message, path: str) -> tuple[Obj, list[str]]:
    """The same for an object inside of a kind that the table does not know, and the paths of its unknown fields.

    Raises a 400 with Go's words alone.
    """
    walk = _Walk()
    try:
        if value is None:
            return {}, []
        if not isinstance(value, dict):
            raise _Mismatch(f"json: cannot unmarshal {json_kind(value)} into Go value of type {_go_name(message.name)}")
        found = walk.message(value, message, path, "")
    except _Mismatch as error:
        raise bad_request(str(error)) from None
    return found, [finding.removeprefix('unknown field "').removesuffix('"') for finding in walk.findings]


def zeros(message: Message) -> Obj:
    """The scalars that Go's JSON holds though they are zero, each as that zero."""
    return {
        field.name: ZERO[field.type]
        for field in message.own
        if field.shape == "one" and field.type in ZERO and not (field.omitempty or field.pointer)
    }


def cannot_be_handled(message: Message, why: str) -> StatusError:
    """The 400 for a body that is no such kind."""
    return bad_request(
        f"{message.kind} in version {quote(message.version)} cannot be handled as a {message.kind}: {why}"
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _go_name(type_name: str) -> str:
    """``core.v1.ServicePort`` is ``v1.ServicePort`` in Go."""
    return ".".join(type_name.split(".")[-2:])


def _go_type(field: Field) -> str:
    scalar = {"bytes": "[]uint8", "double": "float64", "float": "float32"}.get(field.type, field.type)
    return _go_name(field.type) if field.is_message else scalar


class _Walk:
    """One walk; ``path`` names the place with indices (for findings), ``keys`` without (as Go's errors do)."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def message(self, value: Obj, message: Message, path: str, keys: str = "") -> Obj:
        found: Obj = {}
        for key, member in value.items():
            field = message.fields.get(key)
            if field is None:
                self.findings.append(f"unknown field {quote(_join(path, key))}")
            elif member is not None:
                found[key] = self._member(member, field, _Place(message, _join(path, key), _join(keys, key)))
        return found

    def _member(self, value: Any, field: Field, place: _Place) -> Any:
        if field.shape == "list":
            if field.type == "bytes" or not isinstance(value, list):
                raise place.mismatch(value, f"[]{_go_type(field)}")
            return [self._one(item, field, place.inside(f"[{index}]")) for index, item in enumerate(value)]
        if field.shape == "map":
            if not isinstance(value, dict):
                raise place.mismatch(value, f"map[string]{_go_type(field)}")
            return {key: self._one(item, field, place.inside(f".{key}")) for key, item in value.items()}
        return self._one(value, field, place)

    def _one(self, value: Any, field: Field, place: _Place) -> Any:
        if not field.is_message:
            return _scalar(value, field, place)
        message = schema.named(field.type)
        if message.codec in _SCHEMAS:
            return self._schema_or(value, message, place)
        if message.codec:
            return _SPECIAL[message.codec](value, place)
        if value is None:
            return {}  # null in a list or map is the zero value
        if not isinstance(value, dict):
            raise place.mismatch(value, _go_type(field))
        return self.message(value, message, place.path, place.keys)

    def _schema_or(self, value: Any, message: Message, place: _Place) -> Any:
        """A JSON schema, or what else may stand in its place. Unknown fields inside are dropped without a word."""
        also, words = _SCHEMAS[message.codec]
        if isinstance(value, dict):
            found = _Walk().message(value, schema.named(_JSON_SCHEMA), place.path, place.keys)
            return found if found or message.codec != "schemaOrStrings" else []
        if not isinstance(value, also):
            raise place.refused(words)
        if not isinstance(value, list):
            return value
        if message.codec == "schemaOrArray":
            return [self._schema_or(item, message, place) for item in value]
        return _items(value, place)


_JSON_SCHEMA = "apiextensions.v1.JSONSchemaProps"
_SCHEMAS: dict[str, tuple[type, str]] = {
    "schemaOrBool": (bool, "boolean or JSON schema expected"),
    "schemaOrArray": (list, "JSON schema or an array of them expected"),
    "schemaOrStrings": (list, "JSON schema or an array of strings expected"),
}


class _Place:
    """Where a value stands, and how to say that it does not fit."""

    __slots__ = ("_owner", "keys", "path")

    def __init__(self, owner: Message, path: str, keys: str) -> None:
        self._owner, self.path, self.keys = owner, path, keys

    def inside(self, step: str) -> _Place:
        return _Place(self._owner, self.path + step, self.keys)

    def mismatch(self, value: Any, go_type: str) -> _Mismatch:
        kind = json_kind(value)
        if kind == "number" and (go_type.startswith(("int", "uint"))):
            kind = f"number {json.dumps(value)}"
        struct = self._owner.name.rsplit(".", 1)[-1]
        return _Mismatch(f"json: cannot unmarshal {kind} into Go struct field {struct}.{self.keys} of type {go_type}")

    def refused(self, why: object) -> _Mismatch:
        return _Mismatch(f"{self.path}: {why}")


def _scalar(value: Any, field: Field, place: _Place) -> Any:
    if value is None:
        return "" if field.type == "bytes" else ZERO[field.type]
    fits: bool
    match field.type:
        case "string" | "bytes":
            fits = isinstance(value, str)
        case "bool":
            fits = isinstance(value, bool)
        case "double" | "float":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            low, high = _BITS[field.type]
            fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        raise place.mismatch(value, _go_type(field))
    if field.type == "bytes":
        try:
            json_to_bytes(value)
        except ValueError as error:
            raise place.refused(error) from None
    return value


def _int_or_string(value: Any, place: _Place) -> Any:
    low, high = _BITS["int32"]
    if value is None:
        return 0
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        return value
    raise place.mismatch(value, "int32")


def _quantity(value: Any, place: _Place) -> str:
    if value is None:
        return "0"
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise place.mismatch(value, "resource.Quantity")
    try:
        return canonical(value.strip() if isinstance(value, str) else value)
    except QuantityError as error:
        raise place.refused(f"{error}, found {json.dumps(value)}") from None


def _moment(value: Any, place: _Place) -> datetime:
    if not isinstance(value, str):
        raise place.mismatch(value, "v1.Time")
    try:
        if len(value) < len("2006-01-02T15:04:05Z") or value[10] != "T":
            raise ValueError
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise place.refused(f"parsing time {quote(value)}: must be RFC 3339, such as 2006-01-02T15:04:05Z") from None


def _time(value: Any, place: _Place) -> str | None:
    return None if value is None else _moment(value, place).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _micro_time(value: Any, place: _Place) -> str | None:
    return None if value is None else _moment(value, place).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _raw(value: Any, place: _Place) -> Any:
    if is_deeper(value, MAX_DEPTH):
        raise place.refused(f"nested deeper than {MAX_DEPTH} levels")
    return copy_json(value)


def _fields(value: Any, place: _Place) -> Any:
    """A set of fields is never changed in place, and is large: it is not copied."""
    if is_deeper(value, MAX_DEPTH):
        raise place.refused(f"nested deeper than {MAX_DEPTH} levels")
    return value


def _items(value: Any, place: _Place) -> list[str]:
    """A named list of strings (authentication's ExtraValue, meta's Verbs)."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise place.mismatch(value, "[]string")
    return list(value)


def _duration(value: Any, place: _Place) -> str:
    if not isinstance(value, str):
        raise place.mismatch(value, "v1.Duration")
    return value


_SPECIAL: dict[str, Callable[[Any, _Place], Any]] = {
    "time": _time,
    "microTime": _micro_time,
    "duration": _duration,
    "quantity": _quantity,
    "intOrString": _int_or_string,
    "raw": _raw,
    "json": _raw,
    "fieldsV1": _fields,
    "items": _items,
}
