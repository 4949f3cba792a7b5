"""Fields of protocol buffers, as DNS programs wrap messages in them (gRPC, dnstap). Pure.

Numbers, octets and 32-bit words are enough; the library would want generated code for two messages.
"""

from __future__ import annotations

import struct

VARINT, OCTETS, FIXED32 = 0, 2, 5
"""Wire types."""


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def octets(field: int, value: bytes) -> bytes:
    return varint(field << 3 | OCTETS) + varint(len(value)) + value


def fixed32(field: int, value: int) -> bytes:
    return varint(field << 3 | FIXED32) + struct.pack("<I", value)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number, and where what follows it begins. Raises ValueError."""
    value = shift = 0
    while at < len(data) and shift < 70:
        octet = data[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not octet & 0x80:
            return value, at
    raise ValueError("a number is cut off")
