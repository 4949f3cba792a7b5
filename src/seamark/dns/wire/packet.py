"""``message DnsPacket { bytes msg = 1; }`` (CoreDNS's pb/dns.proto): what gRPC carries. Pure."""

from __future__ import annotations

from seamark.dns.wire.fields import octets, read_varint

MESSAGE = 1
TAG = MESSAGE << 3 | 2


def parse_packet(data: bytes) -> bytes:
    """The last ``msg``; empty where there is none. Raises ValueError for anything else."""
    found, at = b"", 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag != TAG:
            raise ValueError("a DnsPacket holds the field msg alone")
        length, at = read_varint(data, at)
        if at + length > len(data):
            raise ValueError("a DnsPacket is cut off")
        found, at = data[at : at + length], at + length
    return found


def render_packet(message: bytes) -> bytes:
    return octets(MESSAGE, message)
