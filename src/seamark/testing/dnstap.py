"""Reads dnstap messages with protobuf's own reader: what a test's sink got, by the field names of dnstap.proto."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
FIELDS = {
    "Dnstap": "identity 1 BYTES, version 2 BYTES, extra 3 BYTES, message 14 .t.Message, type 15 UINT32",
    "Message": """type 1 UINT32, family 2 UINT32, protocol 3 UINT32, query_address 4 BYTES, response_address 5 BYTES,
        query_port 6 UINT32, response_port 7 UINT32, query_time_sec 8 UINT64, query_time_nsec 9 FIXED32,
        query_message 10 BYTES, response_time_sec 12 UINT64, response_time_nsec 13 FIXED32,
        response_message 14 BYTES""",
}


def _class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto2")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in map(str.split, fields.split(",")):
            found = message.field.add(name=field, number=int(number), label=_F.LABEL_OPTIONAL)
            if kind.startswith("."):
                found.type, found.type_name = _F.TYPE_MESSAGE, kind
            else:
                found.type = getattr(_F, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Dnstap"))


DNSTAP = _class()


def read_taps(path: Path) -> list[Any]:
    """The messages of a Frame Streams file, as fstrm_capture writes it."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("!I", data, at)
        at += 4
        if not length:  # a control frame
            (length,) = struct.unpack_from("!I", data, at)
            at += 4 + length
            continue
        found.append(DNSTAP.FromString(data[at : at + length]))
        at += length
    return found
