"""The wire form of netlink: attributes and messages, as bytes in and out (netlink(7)). Knows no family.

Attributes are padded to four bytes; the top two bits of a type (nested, network order) are no part of the number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def name_of(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def each(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += max(4, length + 3 & ~3)


def attributes(data: bytes) -> dict[int, bytes]:
    return dict(each(data))


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence, payload) of every message in a datagram."""
    at = 0
    while at + 16 <= len(data):
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
        yield kind, sequence, data[at + 16 : at + length]
        at += max(16, length + 3 & ~3)
