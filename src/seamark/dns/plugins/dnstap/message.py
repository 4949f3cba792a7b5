"""Dnstap messages (dnstap.proto) and the frames they travel in (Frame Streams). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address

from seamark.dns.wire.fields import fixed32, number, octets

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
"""Control frames."""
_FIELD_CONTENT_TYPE = 1
_MESSAGE = 1
PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "https": 4, "https3": 4, "quic": 7}


class Kind(IntEnum):
    CLIENT_QUERY = 5
    CLIENT_RESPONSE = 6
    FORWARDER_QUERY = 7
    FORWARDER_RESPONSE = 8

    @property
    def is_response(self) -> bool:
        return self in (Kind.CLIENT_RESPONSE, Kind.FORWARDER_RESPONSE)


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a conversation. ``address`` may be empty where it is not known."""

    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Tapped:
    """``asked`` and ``answered`` in Unix seconds; ``wire`` empty = the message itself is not told."""

    kind: Kind
    protocol: str
    asking: Side
    answering: Side
    asked: float
    answered: float = 0.0
    wire: bytes = b""


def render_tap(tapped: Tapped, *, identity: bytes, version: bytes, extra: bytes) -> bytes:
    head = octets(1, identity) + octets(2, version) + (octets(3, extra) if extra else b"")
    return head + octets(14, _message(tapped)) + number(15, _MESSAGE)


def _message(tapped: Tapped) -> bytes:
    family = 2 if ":" in (tapped.asking.address or tapped.answering.address) else 1
    found = number(1, tapped.kind) + number(2, family)
    if tapped.protocol in PROTOCOLS:
        found += number(3, PROTOCOLS[tapped.protocol])
    for field, side in ((4, tapped.asking), (5, tapped.answering)):
        found += octets(field, ip_address(side.address).packed) if side.address else b""
    for field, side in ((6, tapped.asking), (7, tapped.answering)):
        found += number(field, side.port) if side.port else b""
    found += _time(8, tapped.asked)
    if tapped.wire and not tapped.kind.is_response:
        found += octets(10, tapped.wire)
    if tapped.kind.is_response:
        found += _time(12, tapped.answered) + (octets(14, tapped.wire) if tapped.wire else b"")
    return found


def _time(field: int, seconds: float) -> bytes:
    whole = int(seconds)
    return number(field, whole) + fixed32(field + 1, int((seconds - whole) * 1e9))


def render_frame(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def render_control(kind: int, *, typed: bool) -> bytes:
    """``typed`` ones tell what the data frames hold."""
    field = struct.pack("!II", _FIELD_CONTENT_TYPE, len(CONTENT_TYPE)) + CONTENT_TYPE if typed else b""
    body = struct.pack("!I", kind) + field
    return struct.pack("!II", 0, len(body)) + body


def parse_control(body: bytes) -> tuple[int, tuple[bytes, ...]]:
    """The kind of a control frame, and the content types it names. Raises ValueError."""
    try:
        (kind,) = struct.unpack_from("!I", body)
        types, at = [], 4
        while at < len(body):
            field, length = struct.unpack_from("!II", body, at)
            if field == _FIELD_CONTENT_TYPE:
                types.append(body[at + 8 : at + 8 + length])
            at += 8 + length
    except struct.error as error:
        raise ValueError(f"a control frame is cut off: {error}") from None
    return kind, tuple(types)
