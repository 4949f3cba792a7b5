"""Headers of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): who really asked. Pure."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1 = b"PROXY "
MAX_V1 = 107
V2_HEAD = 16
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {1: 4, 2: 16}
"""By family: octets of an address."""
_NOOP = 4
_TLV_HEAD = 3


class Header(NamedTuple):
    """``source`` None: the proxy speaks for itself. ``size`` octets are the header's; ``own`` is the address that was
    asked, ``tlvs`` what else the proxy tells (type, length and value of each), without padding.
    """

    source: tuple[str, int] | None
    size: int
    version: int
    own: tuple[str, int] = ("", 0)
    tlvs: bytes = b""


def may_begin(data: bytes) -> bool:
    """Whether a header may begin with these octets."""
    return any(known.startswith(data[: len(known)]) for known in (V1, SIGNATURE) if data)


def parse_header(data: bytes) -> Header | None:
    """None where there is none. Raises ValueError for one that is broken or cut off."""
    if data.startswith(SIGNATURE):
        return _parse_v2(data)
    return _parse_v1(data) if data.startswith(V1) else None


def missing(data: bytes) -> int:
    """How many octets at least are needed until a header that begins so is whole; 0 = it is."""
    if data.startswith(V1):
        return 0 if data.endswith(b"\r\n") or len(data) >= MAX_V1 else 1
    if len(data) < V2_HEAD:
        return V2_HEAD - len(data) if data.startswith(SIGNATURE) else 1
    return max(0, V2_HEAD + int(struct.unpack_from("!H", data, 14)[0]) - len(data))


def _parse_v1(data: bytes) -> Header:
    line, end, _ = data[:MAX_V1].partition(b"\r\n")
    words = line.decode("ascii", "replace").split(" ")
    if not end:
        raise ValueError("the PROXY line has no end")
    if words[1] == "UNKNOWN":
        return Header(None, len(line) + 2, 1)
    if words[1] not in ("TCP4", "TCP6") or len(words) != 6:
        raise ValueError("the PROXY line is not TCP4 or TCP6, two addresses and two ports")
    source, own = ((str(ip_address(words[at])), int(words[at + 2])) for at in (2, 3))
    return Header(source, len(line) + 2, 1, own)


def _parse_v2(data: bytes) -> Header:
    if len(data) < V2_HEAD:
        raise ValueError("the PROXY header is cut off")
    command, family, length = struct.unpack_from("!BBH", data, 12)
    size = V2_HEAD + length
    if len(data) < size:
        raise ValueError("the PROXY header is cut off")
    if command == _LOCAL or family == 0:
        return Header(None, size, 2)
    octets = _ADDRESSES.get(family >> 4)
    if command != _PROXY or octets is None:
        raise ValueError("the PROXY header is of an unknown command or family")
    if length < 2 * octets + 4:
        raise ValueError("the PROXY header lacks addresses")
    ports = V2_HEAD + 2 * octets
    source, own = (ip_address(data[at : at + octets]) for at in (V2_HEAD, V2_HEAD + octets))
    source_port, own_port = struct.unpack_from("!HH", data, ports)
    return Header((str(source), source_port), size, 2, (str(own), own_port), _parse_tlvs(data[ports + 4 : size]))


def _parse_tlvs(data: bytes) -> bytes:
    """Nothing where they are cut off."""
    found, at = b"", 0
    while at < len(data):
        if at + _TLV_HEAD > len(data):
            return b""
        kind, length = struct.unpack_from("!BH", data, at)
        if at + _TLV_HEAD + length > len(data):
            return b""
        found += struct.pack("!BH", kind, 0) if kind == _NOOP else data[at : at + _TLV_HEAD + length]
        at += _TLV_HEAD + length
    return found
