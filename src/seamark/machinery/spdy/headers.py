"""SPDY/3 name/value blocks: one zlib stream a direction, primed with the dictionary of the specification (§2.6.10).

The stream goes on from block to block, so that blocks must be read in the order they came, also those that are then
ignored. What a small block unpacks to is bounded.
"""

from __future__ import annotations

import struct
import zlib

Headers = tuple[tuple[str, str], ...]
"""Names in lower case; a name with several values stands once for each."""

MAX_BLOCK = 64 << 10  # bytes, unpacked

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_NAMES = [*_WORDS.split(" "), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(name)) + name.encode() for name in _NAMES) + _TAIL.encode()


class HeaderError(Exception):
    """A block that cannot be read: the connection is lost with it, since the zlib stream is."""


class HeaderCompressor:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(zdict=DICTIONARY)

    def compress(self, headers: Headers) -> bytes:
        return self._stream.compress(render_block(headers)) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zdict=DICTIONARY)

    def decompress(self, data: bytes) -> Headers:
        """Raises HeaderError."""
        try:
            block = self._stream.decompress(data, MAX_BLOCK + 1)
        except zlib.error as error:
            raise HeaderError(f"header block: {error}") from None
        if len(block) > MAX_BLOCK:
            raise HeaderError(f"header block: more than {MAX_BLOCK} bytes")
        return parse_block(block)


def render_block(headers: Headers) -> bytes:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    parts = [struct.pack(">I", len(values))]
    for name, several in values.items():
        for text in (name, "\0".join(several)):
            data = text.encode()
            parts += [struct.pack(">I", len(data)), data]
    return b"".join(parts)


def parse_block(block: bytes) -> Headers:
    """Raises HeaderError for a block that ends too early or too late, and for a name that is no name."""
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    count, at = _number(block, 0)
    for _ in range(count):
        name, at = _text(block, at)
        value, at = _text(block, at)
        if not name or name != name.lower() or name in seen:
            raise HeaderError(f"header block: name {name[:80]!r} is empty, not lower case or stands twice")
        seen.add(name)
        found += [(name, one) for one in value.split("\0")]
    if at != len(block):
        raise HeaderError(f"header block: {len(block) - at} bytes behind the last header")
    return tuple(found)


def _number(block: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(block):
        raise HeaderError("header block: ends in the middle")
    return int.from_bytes(block[at : at + 4], "big"), at + 4


def _text(block: bytes, at: int) -> tuple[str, int]:
    length, at = _number(block, at)
    if at + length > len(block):
        raise HeaderError("header block: ends in the middle")
    return block[at : at + length].decode("utf-8", "replace"), at + length
