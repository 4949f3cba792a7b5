"""The schema table: every message of the served API groups with its fields, as the published Go modules have them.

``schema.json`` is generated (``tools/schema``) from k8s.io/api and k8s.io/apimachinery of one Kubernetes version,
under their Apache-2.0 licence. Strict decoding, strategic merge, protobuf and OpenAPI all read this one table. It is
loaded at the first use (about 5 ms); a message is known by a short name such as ``core.v1.PodSpec``.

Not in here: behaviour (defaulting, validation), which is written by hand in ``resources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec

Shape = Literal["one", "list", "map"]

SCALARS = frozenset({"string", "bool", "int32", "int64", "uint32", "uint64", "double", "float", "bytes"})


class Field(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One field. ``type`` is a scalar of protobuf or a message's name; a map's keys are always strings.

    ``pointer`` means that absent differs from zero; ``inline``, that the message's fields stand in the outer object
    in JSON but in a message of their own in protobuf.
    """

    name: str
    type: str
    number: int = 0
    shape: Shape = "one"
    inline: bool = False
    omitempty: bool = False
    pointer: bool = False
    required: bool = False
    patch_strategy: str = ""
    patch_merge_key: str = ""
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    enum: tuple[str, ...] = ()
    default: Any = msgspec.UNSET

    @property
    def is_message(self) -> bool:
        return self.type not in SCALARS

    @property
    def patch_strategies(self) -> tuple[str, ...]:
        """``merge``, ``replace``, ``retainKeys``; several stand comma-separated in Go's tag."""
        return tuple(self.patch_strategy.split(",")) if self.patch_strategy else ()


@dataclass(frozen=True, slots=True)
class Message:
    """``own`` are the protobuf fields; ``fields`` those of the JSON object by name, inlined ones among them.

    ``codec`` names a type whose JSON is not an object of its fields: time, microTime, duration, quantity,
    intOrString, raw, json, fieldsV1, items, schemaOrArray, schemaOrBool, schemaOrStrings; empty for all others.
    ``kind`` is set for what has an apiVersion of its own.
    """

    name: str
    own: tuple[Field, ...]
    fields: Mapping[str, Field]
    codec: str = ""
    group: str = ""
    version: str = ""
    kind: str = ""
    map_type: str = ""  # "atomic": server-side apply owns it whole

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    fields: tuple[Field, ...]
    codec: str = ""
    group: str = ""
    version: str = ""
    kind: str = ""
    map_type: str = ""


class _Table(msgspec.Struct, frozen=True):
    origin: str
    messages: dict[str, _Row]


_TYPE_META = tuple(Field(name=name, type="string", omitempty=True) for name in ("apiVersion", "kind"))
_META_GROUP = "meta.k8s.io"


class Schema:
    """All messages, by name and by apiVersion and kind."""

    def __init__(self, table: bytes) -> None:
        decoded = msgspec.json.decode(table, type=_Table)
        self.origin = decoded.origin
        self._rows = decoded.messages
        self.messages: dict[str, Message] = {name: self._build(name, row) for name, row in self._rows.items()}
        self._kinds = {(m.api_version, m.kind): m for m in self.messages.values() if m.kind}
        self._versions = {api_version for api_version, _ in self._kinds}

    def _build(self, name: str, row: _Row) -> Message:
        flat = {field.name: field for field in (_TYPE_META if row.kind else ())}
        flat |= {field.name: field for field in self._flatten(row.fields)}
        return Message(name, row.fields, flat, row.codec, row.group, row.version, row.kind, row.map_type)

    def _flatten(self, fields: tuple[Field, ...]) -> list[Field]:
        found: list[Field] = []
        for field in fields:
            found += self._flatten(self._rows[field.type].fields) if field.inline else [field]
        return found

    def named(self, name: str) -> Message:
        """The message of a field's ``type``. KeyError for a scalar or a name that is not in the table."""
        return self.messages[name]

    def message(self, api_version: str, kind: str) -> Message | None:
        """A kind of a served group, or one of meta/v1 (DeleteOptions, Status, …), which belong to every group."""
        found = self._kinds.get((api_version, kind))
        if found is None and api_version in self._versions:
            return self._kinds.get((f"{_META_GROUP}/v1", kind))
        return found


@cache
def load() -> Schema:
    """The one table of this process."""
    return Schema(resources.files("seamark.machinery").joinpath("schema.json").read_bytes())


def message(api_version: str, kind: str) -> Message | None:
    return load().message(api_version, kind)


def named(name: str) -> Message:
    return load().named(name)
