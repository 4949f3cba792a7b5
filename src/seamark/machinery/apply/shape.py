"""How a kind's fields are owned: the schema table as a tree made for walking.

A shape says of a value whether it is owned whole (a leaf: scalars, and lists and maps that are *atomic*) or field by
field. It also knows which fields Go's encoder writes although nobody set them (``resources: {}``, ``containers:
null``) and which it leaves out although somebody did (an empty ``args: []``): the API server compares objects as Go
writes them, and managedFields show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from seamark.machinery import schema
from seamark.machinery.schema import Field, Message

STRUCT: Final = "struct"  # an object with declared fields
MAP: Final = "map"  # an object with any keys
KEYED: Final = "keyed"  # a list of objects known by keys
SET: Final = "set"  # a list of scalars
LIST: Final = "list"  # a list that can only be owned whole
SCALAR: Final = "scalar"
ANY: Final = "any"  # whatever the value is: objects by key, the rest whole

_NUMERIC = frozenset({"int32", "int64", "uint32", "uint64", "double", "float"})
_ZERO_OF_CODEC: Mapping[str, Any] = {
    "time": None,
    "microTime": None,
    "duration": "0s",
    "quantity": "0",
    "intOrString": 0,
    "raw": None,
    "json": None,
    "schemaOrArray": None,
    "schemaOrBool": None,
    "schemaOrStrings": None,
    "fieldsV1": None,
    "items": None,
}
_OMITTED_WHEN_ZERO = frozenset({"creationTimestamp"})  # the one field with omitzero


class Shape:
    """One type. ``leaf``: owned whole; ``item`` is the shape of a map's or list's members, or a struct's other ones."""

    __slots__ = ("_fields", "item", "keys", "kind", "leaf", "message", "scalar")

    def __init__(
        self,
        kind: str,
        *,
        leaf: bool = False,
        item: Shape | None = None,
        keys: tuple[tuple[str, Any], ...] = (),
        scalar: str = "",
        message: Message | None = None,
    ) -> None:
        self.kind = kind
        self.leaf = leaf or kind in (SCALAR, LIST)
        self.item = item
        self.keys = keys  # (name, default); a default of None: the key may be absent
        self.scalar = scalar  # string, numeric, boolean, untyped
        self.message = message
        self._fields: Fields | None = None

    @classmethod
    def of_fields(cls, shapes: dict[str, Shape], *, leaf: bool, others: Shape | None) -> Shape:
        """A struct whose fields no message declares; it is written as it stands."""
        found = cls(STRUCT, leaf=leaf, item=others)
        found._fields = Fields(None)
        found._fields.shapes = shapes
        return found

    @property
    def fields(self) -> Fields:
        """The fields of a struct; made at the first use, since types hold one another (JSONSchemaProps itself)."""
        if self._fields is None:
            self._fields = Fields(self.message)
        return self._fields

    def below(self, name: str) -> Shape | None:
        """The shape of a member of an object; None for a field that the kind does not have."""
        if self.kind == STRUCT:
            return self.fields.shapes.get(name, self.item)
        return ANY_SHAPE if self.kind == ANY else self.item


class Fields:
    """What a struct holds. ``always``: what Go writes in any case, with its zero; ``dropped``: omitted when empty."""

    __slots__ = ("always", "dropped", "shapes")

    def __init__(self, message: Message | None) -> None:
        found = message.fields.values() if message else ()
        self.shapes: dict[str, Shape] = {field.name: _of_field(field) for field in found}
        self.always: dict[str, Any] = {field.name: _zero(field) for field in found if _is_always_written(field)}
        self.dropped: frozenset[str] = frozenset(field.name for field in found if _is_dropped_when_empty(field))


ANY_SHAPE: Final = Shape(ANY)
_WHOLE: Final = Shape(ANY, leaf=True)


@cache
def shape_of_kind(api_version: str, kind: str) -> Shape:
    """The shape of a kind; of one that the table does not know, what its values say."""
    message = schema.message(api_version, kind)
    return ANY_SHAPE if message is None else shape_of(message.name)


@cache
def shape_of(name: str) -> Shape:
    """The shape of a message by its short name."""
    message = schema.named(name)
    if message.codec in ("json", "schemaOrArray", "schemaOrBool", "schemaOrStrings"):
        return ANY_SHAPE
    if message.codec in ("raw", "fieldsV1"):
        return Shape(MAP, item=ANY_SHAPE)
    if message.codec == "items":
        return Shape(LIST, item=Shape(SCALAR, scalar="string"))
    if message.codec:
        return Shape(SCALAR, scalar="string" if message.codec == "duration" else "untyped")
    return Shape(STRUCT, leaf=message.map_type == "atomic", message=message)


@cache
def _scalar(type_name: str) -> Shape:
    if type_name in _NUMERIC:
        return Shape(SCALAR, scalar="numeric")
    return Shape(SCALAR, scalar="boolean" if type_name == "bool" else "string")


def _of_type(name: str) -> Shape:
    return shape_of(name) if name not in schema.SCALARS else _scalar(name)


def _of_field(field: Field) -> Shape:
    item = _of_type(field.type)
    if field.shape == "map":
        return Shape(MAP, item=item, leaf=field.map_type == "atomic")
    if field.shape == "list":
        return _of_list(field, item)
    if field.map_type and item.kind == STRUCT:  # the field says otherwise than its type
        return Shape(STRUCT, leaf=field.map_type == "atomic", message=item.message)
    return item


def _of_list(field: Field, item: Shape) -> Shape:
    if field.list_type == "map":
        declared = schema.named(field.type).fields
        return Shape(KEYED, item=item, keys=tuple((key, _key_default(declared[key])) for key in field.list_map_keys))
    return Shape(SET if field.list_type == "set" else LIST, item=item)


def _key_default(field: Field) -> Any:
    if field.default is not msgspec.UNSET:
        return field.default
    return None if field.omitempty or field.pointer or field.is_message else _zero(field)


def _codec(field: Field) -> str:
    return schema.named(field.type).codec if field.is_message else ""


def _zero(field: Field) -> Any:
    if field.shape != "one" or field.pointer or field.type == "bytes":
        return None
    if field.is_message:
        return _ZERO_OF_CODEC.get(_codec(field), {})
    if field.type in _NUMERIC:
        return 0
    return False if field.type == "bool" else ""


def _is_always_written(field: Field) -> bool:
    if field.name in _OMITTED_WHEN_ZERO or (field.pointer and field.omitempty):
        return False
    return not field.omitempty or (field.shape == "one" and field.is_message and _codec(field) != "items")


def _is_dropped_when_empty(field: Field) -> bool:
    if not field.omitempty or field.pointer:
        return False
    return not (field.shape == "one" and field.is_message and _codec(field) != "items")
