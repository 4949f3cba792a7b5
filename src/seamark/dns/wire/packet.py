"""``message DnsPacket { bytes msg = 1; }`` (CoreDNS's pb/dns.proto) on the wire of protocol buffers. Pure."""

from __future__ import annotations

FIELD = 0x0A
"""Field 1, length-delimited."""


def parse_packet(data: bytes) -> bytes:
    """The last ``msg``; empty where there is none. Raises ValueError for anything else."""
    found, at = b"", 0
    while at < len(data):
        if data[at] != FIELD:
            raise ValueError("a DnsPacket holds the field msg alone")
        length, at = _varint(data, at + 1)
        if at + length > len(data):
            raise ValueError("a DnsPacket is cut off")
        found, at = data[at : at + length], at + length
    return found


def render_packet(message: bytes) -> bytes:
    size, length = bytearray(), len(message)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([FIELD, *size]) + message


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 35:
        octet = data[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not octet & 0x80:
            return value, at
    raise ValueError("a DnsPacket is cut off")
