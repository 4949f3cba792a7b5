"""SPDY/3.1 frames and their bytes (specification §2.2 and §2.6).

A data frame of any size is handed on as its bytes arrive, in pieces, so that nothing large is ever held; a control
frame is held until it is whole and may not be large. Control frames of unknown types are skipped, as the
specification asks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from seamark.machinery.spdy.headers import HeaderCompressor, HeaderDecompressor, HeaderError, Headers

VERSION = 3
MAX_CONTROL = 64 << 10
MAX_STREAM = 0x7FFFFFFF
FIN, UNIDIRECTIONAL = 1, 2

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6  # of RST_STREAM
FLOW_CONTROL_ERROR, STREAM_IN_USE, STREAM_ALREADY_CLOSED = 7, 8, 9
GOAWAY_OK, GOAWAY_PROTOCOL_ERROR = 0, 1
INITIAL_WINDOW_SIZE = 7  # the id in SETTINGS


class SpdyError(Exception):
    """The peer broke the protocol in a way that ends the connection."""


@dataclass(frozen=True, slots=True)
class SynStream:
    stream: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False
    associated: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    stream: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """``values``: (id, value)."""

    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_good: int
    status: int = GOAWAY_OK


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    """HEADERS."""

    stream: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """``stream`` 0 is the connection."""

    stream: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    """A data frame, or a piece of one: ``fin`` is on the last piece."""

    stream: int
    data: bytes
    fin: bool = False


Frame = SynStream | SynReply | RstStream | Settings | Ping | GoAway | MoreHeaders | WindowUpdate | Data


class FrameWriter:
    """Frames to bytes, in the order they are sent: the header compression goes on from one to the next."""

    def __init__(self) -> None:
        self._compressor = HeaderCompressor()

    def render(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, fin << 24 | len(data)) + data
            case SynStream():
                flags = (FIN if frame.fin else 0) | (UNIDIRECTIONAL if frame.unidirectional else 0)
                head = struct.pack(">IIBB", frame.stream, frame.associated, frame.priority << 5, 0)
                return _control(SYN_STREAM, head + self._compressor.compress(frame.headers), flags)
            case SynReply(stream, headers, fin):
                return _control(SYN_REPLY, struct.pack(">I", stream) + self._compressor.compress(headers), fin)
            case MoreHeaders(stream, headers, fin):
                return _control(HEADERS, struct.pack(">I", stream) + self._compressor.compress(headers), fin)
            case RstStream(stream, status):
                return _control(RST_STREAM, struct.pack(">II", stream, status))
            case Settings(values):
                entries = b"".join(struct.pack(">II", number, value) for number, value in values)
                return _control(SETTINGS, struct.pack(">I", len(values)) + entries)
            case Ping(number):
                return _control(PING, struct.pack(">I", number))
            case GoAway(last_good, status):
                return _control(GOAWAY, struct.pack(">II", last_good, status))
            case WindowUpdate(stream, delta):
                return _control(WINDOW_UPDATE, struct.pack(">II", stream, delta))


def _control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, int(flags) << 24 | len(payload)) + payload


class FrameReader:
    """Bytes to frames, in whatever pieces they come."""

    def __init__(self) -> None:
        self._decompressor = HeaderDecompressor()
        self._buffer = bytearray()
        self._stream, self._left, self._fin = 0, 0, False  # of the data frame under way

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises SpdyError."""
        self._buffer += data
        while True:
            if self._left:
                if not self._buffer:
                    return
                yield self._piece()
                continue
            if len(self._buffer) < 8:
                return
            first, second = struct.unpack_from(">II", self._buffer)
            if first & 0x80000000:
                length = second & 0xFFFFFF
                kind = _check_control(first, length)
                if len(self._buffer) < 8 + length:
                    return
                payload = bytes(self._buffer[8 : 8 + length])
                del self._buffer[: 8 + length]
                frame = self._parse(kind, second >> 24, payload)
                if frame is not None:
                    yield frame
            else:
                del self._buffer[:8]
                self._stream, self._left, self._fin = first, second & 0xFFFFFF, bool(second >> 24 & FIN)
                if not self._left:
                    yield Data(first, b"", self._fin)

    def _piece(self) -> Data:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        return Data(self._stream, piece, self._fin and not self._left)

    def _parse(self, kind: int, flags: int, payload: bytes) -> Frame | None:
        try:
            return self._parse_payload(kind, flags, payload)
        except struct.error:
            raise SpdyError(f"control frame of type {kind}: {len(payload)} bytes are not its length") from None
        except HeaderError as error:
            raise SpdyError(str(error)) from None

    def _parse_payload(self, kind: int, flags: int, payload: bytes) -> Frame | None:
        fin = bool(flags & FIN)
        if kind == SYN_STREAM:
            stream, associated, priority, _ = struct.unpack_from(">IIBB", payload)
            headers = self._decompressor.decompress(payload[10:])
            one_way = bool(flags & UNIDIRECTIONAL)
            return SynStream(stream & MAX_STREAM, headers, fin, one_way, associated & MAX_STREAM, priority >> 5)
        if kind in (SYN_REPLY, HEADERS):
            (stream,) = struct.unpack_from(">I", payload)
            headers = self._decompressor.decompress(payload[4:])
            return (SynReply if kind == SYN_REPLY else MoreHeaders)(stream & MAX_STREAM, headers, fin)
        if kind == SETTINGS:
            return _parse_settings(payload)
        if kind == PING:
            return Ping(*struct.unpack(">I", payload))
        if kind in (RST_STREAM, GOAWAY, WINDOW_UPDATE):
            stream, value = struct.unpack(">II", payload)
            stream &= MAX_STREAM
            if kind == RST_STREAM:
                return RstStream(stream, value)
            return GoAway(stream, value) if kind == GOAWAY else WindowUpdate(stream, value & MAX_STREAM)
        return None


def _check_control(first: int, length: int) -> int:
    """The frame's type."""
    version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
    if version != VERSION:
        raise SpdyError(f"version {version} is not spoken here: this is SPDY/3.1")
    if length > MAX_CONTROL:
        raise SpdyError(f"control frame of type {kind}: {length} bytes, more than {MAX_CONTROL}")
    return kind


def _parse_settings(payload: bytes) -> Settings:
    (count,) = struct.unpack_from(">I", payload)
    if len(payload) != 4 + 8 * count:
        raise struct.error
    entries = struct.iter_unpack(">II", payload[4:])
    return Settings(tuple((number & 0xFFFFFF, value) for number, value in entries))
