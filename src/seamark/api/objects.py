"""Objects between bytes and dicts: how they lie in the store, and how a resourceVersion gets into them.

An object is stored as its JSON with an EMPTY resourceVersion as the first key of metadata: the store alone knows the
revision, and it is spliced in on the way out, so that get, list and watch never decode what they only pass on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.resources.registry import Resource
from seamark.store.base import Entry

Obj = dict[str, Any]

_EMPTY = b'"resourceVersion":""'
_encode = msgspec.json.encode
_decode = msgspec.json.decode


def pack(obj: Obj) -> bytes:
    """The bytes to store: kind, apiVersion and metadata first, whatever order the client sent."""
    meta = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    rest = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}
    head = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": {"resourceVersion": "", **meta}}
    return _encode({**head, **rest})


def splice(value: bytes, revision: int) -> bytes:
    """The stored bytes as a client sees them; the first match is the object's own (see ``pack``)."""
    return value.replace(_EMPTY, b'"resourceVersion":"%d"' % revision, 1)


def unpack(value: bytes, revision: int) -> Obj:
    obj: Obj = _decode(splice(value, revision))
    return obj


def unpack_entry(entry: Entry) -> Obj:
    return unpack(entry.value, entry.revision)


def pack_as(row: Resource, obj: Obj) -> bytes:
    """The bytes to store of an object as the row serves it: a custom kind has one version for all of them."""
    return pack(obj if row.custom is None else {**obj, "apiVersion": row.custom.stored_version})


def shown_bytes(row: Resource, value: bytes, revision: int) -> bytes:
    """Stored bytes as the row serves them, without their revision."""
    return value if row.custom is None else row.custom.read(value, revision)


def unpack_as(row: Resource, value: bytes, revision: int) -> Obj:
    return unpack(shown_bytes(row, value, revision), revision)


def same(left: Any, right: Any) -> bool:
    """Whether two objects mean the same: in Kubernetes' JSON a null and an absent field do."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(same(left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def encode(obj: Any) -> bytes:
    return _encode(obj)


class _Labels(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Labels


_LABELLED = msgspec.json.Decoder(_Labelled)


def labels_of(value: bytes) -> dict[str, str]:
    """The labels alone: a third of the cost of decoding the object."""
    return _LABELLED.decode(value).metadata.labels or {}
