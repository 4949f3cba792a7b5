"""Kubernetes' protobuf bodies, to and from dicts: ``k8s\\0`` and a runtime.Unknown around a message of the table.

kubectl ≥ 1.32 and every client-go controller send them, without falling back to JSON. Reading is google.protobuf's,
over descriptors built from the table at the first use (about 15 ms); ``protobufwriter`` writes. The dict is what the
same object gives as JSON: bytes in base64, times as RFC 3339, quantities and int-or-strings as such.

gogo writes every scalar that is no pointer, zero or not, so ``omitempty`` decides what a zero means. Refuses, as a 400:
another envelope, a kind not in the table, a wire format error, a value that its field cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from seamark.machinery import protobuf_values as values
from seamark.machinery import schema
from seamark.machinery.protobufwriter import delimited, encode_message
from seamark.machinery.schema import Field, Message
from seamark.machinery.status import StatusError, bad_request

if TYPE_CHECKING:  # loaded with the first message: it takes its time, and many a server never sees one
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message as Wire

Obj = dict[str, Any]

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_PACKAGE = "seamark.k8s"
_UNKNOWN = "runtime.Unknown"
_TYPE_META_API_VERSION, _TYPE_META_KIND = "f1", "f2"  # runtime.TypeMeta
_UNKNOWN_TYPE_META, _UNKNOWN_RAW, _UNKNOWN_ENCODING = "f1", "f2", "f3"
_FIRST, _SECOND = b"\x0a", b"\x12"  # tags of fields that have a length
_NO_ENCODING_AND_TYPE = b"\x1a\x00\x22\x00"  # gogo writes both, empty


def decode_body(body: bytes, *, api_version: str = "", kind: str = "") -> Obj:
    """The object in an enveloped body; ``api_version`` and ``kind`` stand in where the envelope names none."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not in Kubernetes' protobuf format: it does not begin with k8s\\0")
    try:
        unknown = _parse(_UNKNOWN, body[len(MAGIC) :])
        if encoding := getattr(unknown, _UNKNOWN_ENCODING):
            raise bad_request(f"the object's content encoding {encoding!r} is not supported")
        type_meta = getattr(unknown, _UNKNOWN_TYPE_META)
        api_version = getattr(type_meta, _TYPE_META_API_VERSION) or api_version
        kind = getattr(type_meta, _TYPE_META_KIND) or kind
        message = _message(api_version, kind)
        decoded: Obj = _decoder(message.name)(_parse(message.name, getattr(unknown, _UNKNOWN_RAW)))
    except (ValueError, OverflowError, RecursionError) as error:
        raise bad_request(f"the protobuf body cannot be decoded: {error}") from None
    return {"apiVersion": api_version, "kind": kind} | decoded


def encode_body(obj: Obj) -> bytes:
    """The enveloped body of an object with apiVersion and kind. Fields that the table does not know are left out."""
    return envelope(obj, encode_object(obj))


def encode_object(obj: Obj) -> bytes:
    """The message alone."""
    message = _message(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
    try:
        return encode_message(message.name, obj)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise bad_request(f"{obj['kind']} cannot be encoded as protobuf: {error}") from None


def encode_list(shell: Obj, items: Iterable[bytes]) -> bytes:
    """The enveloped body of a list out of the messages of its items: the second field of every kind's list."""
    metadata = delimited(_FIRST, encode_message("meta.v1.ListMeta", shell["metadata"]))
    return envelope(shell, b"".join([metadata, *(delimited(_SECOND, item) for item in items)]))


def envelope(kind: Obj, message: bytes) -> bytes:
    """``kind`` says which: an object or a list with its apiVersion and kind."""
    type_meta = delimited(_FIRST, kind["apiVersion"].encode()) + delimited(_SECOND, kind["kind"].encode())
    return MAGIC + delimited(_FIRST, type_meta) + delimited(_SECOND, message) + _NO_ENCODING_AND_TYPE


def encode_event(kind: str, body: bytes) -> bytes:
    """One frame of a watch: the length, and a meta/v1 WatchEvent around the enveloped object."""
    frame = delimited(_FIRST, kind.encode()) + delimited(_SECOND, delimited(_FIRST, body))
    return len(frame).to_bytes(4, "big") + frame


def split_events(frames: bytes) -> list[bytes]:
    """The events of several frames, without their lengths."""
    found, start = [], 0
    while start < len(frames):
        end = start + 4 + int.from_bytes(frames[start : start + 4], "big")
        found.append(frames[start + 4 : end])
        start = end
    return found


def _message(api_version: str, kind: str) -> Message:
    found = schema.message(api_version, kind)
    if found is None:
        raise StatusError(400, "BadRequest", f'no kind "{kind}" is registered for version "{api_version}"')
    return found


def _parse(name: str, data: bytes) -> Wire:
    """Raises ValueError for what is no such message."""
    from google.protobuf.message import DecodeError

    wire = _class(name)()
    try:
        wire.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    return wire


@cache
def _pool() -> DescriptorPool:
    """Every message of the table, in one file; a field is called after its number, which cannot clash."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="seamark/k8s.proto", package=_PACKAGE, syntax="proto2")
    for message in schema.load().messages.values():
        described = file.message_type.add(name=_wire_name(message.name))
        for field in message.own:
            _describe(described, field, descriptor_pb2.FieldDescriptorProto)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _wire_name(name: str) -> str:
    return name.replace(".", "_")


def _describe(described: DescriptorProto, field: Field, proto: type[FieldDescriptorProto]) -> None:
    row = described.field.add(name=f"f{field.number}", number=field.number)
    row.label = proto.LABEL_OPTIONAL if field.shape == "one" else proto.LABEL_REPEATED
    target = row
    if field.shape == "map":
        entry = described.nested_type.add(name=f"F{field.number}Entry")  # the name protoc gives a map's entry
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=proto.LABEL_OPTIONAL, type=proto.TYPE_STRING)
        target = entry.field.add(name="value", number=2, label=proto.LABEL_OPTIONAL)
        row.type = proto.TYPE_MESSAGE
        row.type_name = f".{_PACKAGE}.{described.name}.{entry.name}"
    if field.is_message:
        target.type = proto.TYPE_MESSAGE
        target.type_name = f".{_PACKAGE}.{_wire_name(field.type)}"
    else:
        target.type = proto.Type.Value(f"TYPE_{field.type.upper()}")


@cache
def _class(name: str) -> type[Wire]:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{_wire_name(name)}"))


@cache
def _decoder(name: str) -> Callable[[Any], Any]:
    message = schema.named(name)
    if message.codec == "raw":
        return lambda wire: values.raw_to_json(wire, decode_body)
    if message.codec in ("schemaOrArray", "schemaOrBool", "schemaOrStrings"):
        return _schema_or(message)
    return values.SPECIAL[message.codec] if message.codec else _Plan(message).decode


def _schema_or(message: Message) -> Callable[[Any], Any]:
    """A JSON schema, or what else may stand in its place: the message has a field for each."""
    inner = next(field for field in message.own if field.type.endswith(".JSONSchemaProps") and field.shape == "one")
    other = next(field for field in message.own if field is not inner)
    one, many = f"f{inner.number}", f"f{other.number}"

    def decode(wire: Any) -> Any:
        if wire.HasField(one):
            return _decoder(inner.type)(getattr(wire, one))
        found = getattr(wire, many)
        return found if other.shape == "one" else [_value_of(other, item) for item in found]

    return decode


class _Plan:
    """How one message's fields go to a dict; made once per message."""

    def __init__(self, message: Message) -> None:
        self._fields = {field.number: field for field in message.own}

    def decode(self, wire: Any) -> Obj:
        found: Obj = {}
        for descriptor, value in wire.ListFields():
            field = self._fields[descriptor.number]
            if field.inline:
                found |= _decoder(field.type)(value)
            elif field.shape == "one":
                decoded = _value_of(field, value)
                if not _is_omitted(field, decoded):
                    found[field.name] = decoded
            elif field.shape == "list":
                found[field.name] = [_value_of(field, item) for item in value]
            else:
                found[field.name] = {key: _value_of(field, value[key]) for key in sorted(value)}
        return found


def _value_of(field: Field, value: Any) -> Any:
    if field.is_message:
        return _decoder(field.type)(value)
    if field.type == "double":
        return int(value) if value.is_integer() else value  # as Go writes it in JSON
    return values.bytes_to_json(value) if field.type == "bytes" else value


def _is_omitted(field: Field, value: Any) -> bool:
    """Whether Go's JSON encoder would leave it out, or write a null that means the same."""
    if value is None:
        return True
    return field.omitempty and not field.pointer and not field.is_message and not value
