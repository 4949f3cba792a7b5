"""Transaction signatures (RFC 8945): whether a query's holds, and signing replies. Pure; HMAC is dnspython's.

A reply to a signed query is signed with the query's key, each message of a transfer with what came before it. A query
whose key is unknown or whose signature is wrong gets an unsigned TSIG that says so.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.tsig

HEADER = 12
POINTER = 0xC0
"""A label's length from here on is the first octet of a pointer (RFC 1035 §4.1.4)."""
FUDGE = 300
_make_tsig: Any = dns.rdtypes.ANY.TSIG.TSIG
_sign: Any = dns.tsig.sign
_validate: Any = dns.tsig.validate
MAC_SPACE = 64
"""Octets of the longest signature (SHA-512)."""


@dataclass(slots=True)
class Signer:
    """Signs the messages of one reply, in order. ``key`` None or an ``error`` of the signature leaves them unsigned."""

    owner: dns.name.Name
    key: dns.tsig.Key | None
    query: Any
    """The TSIG rdata of the query."""
    error: dns.rcode.Rcode
    now: int
    _context: Any = None

    @property
    def space(self) -> int:
        """Octets a signature takes at most."""
        rdata = self._unsigned()
        return len(self._record(rdata.replace(mac=bytes(MAC_SPACE))))

    def sign(self, wire: bytes) -> bytes:
        rdata = self._unsigned()
        if self.key is not None and self.error in (dns.rcode.NOERROR, dns.rcode.BADTIME):
            mac = self.query.mac if self._context is None else None
            rdata, self._context = _sign(wire, self.key, rdata, rdata.time_signed, mac, self._context, multi=True)
        (additional,) = struct.unpack_from("!H", wire, 10)
        return wire[:10] + struct.pack("!H", additional + 1) + wire[HEADER:] + self._record(rdata)

    def _unsigned(self) -> Any:
        """For BADTIME the client's time is signed and ours told beside (RFC 8945 §5.2.3)."""
        is_late = self.error == dns.rcode.BADTIME
        return _make_tsig(
            dns.rdataclass.ANY,
            dns.rdatatype.TSIG,
            self.query.algorithm,
            self.query.time_signed if is_late else self.now,
            FUDGE,
            b"",
            self.query.original_id,
            self.error,
            struct.pack("!Q", self.now)[2:] if is_late else b"",
        )

    def _record(self, rdata: Any) -> bytes:
        data = rdata.to_wire()
        head = struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(data))
        return (self.owner.to_wire() or b"") + head + bytes(data)


def verify(packet: bytes, signed: Any, keys: Mapping[dns.name.Name, bytes], now: int) -> Signer:
    """``signed`` is the TSIG rrset of the query ``packet``; ``now`` in Unix seconds."""
    owner, rdata = signed.name, signed[0]
    secret = keys.get(owner.canonicalize())
    algorithm = rdata.algorithm.canonicalize()
    if secret is None or algorithm not in dns.tsig.HMACTSig._hashes:
        return Signer(owner, None, rdata, dns.rcode.BADKEY, now)
    key = dns.tsig.Key(owner, secret, rdata.algorithm)
    error = dns.rcode.NOERROR
    try:
        _validate(packet, key, owner, rdata, now, b"", last_record(packet))
    except dns.tsig.BadTime:
        error = dns.rcode.BADTIME
    except (dns.exception.DNSException, struct.error, IndexError):
        error = dns.rcode.BADSIG
    return Signer(owner, key, rdata, error, now)


def last_record(packet: bytes) -> int:
    """Where it begins. Raises struct.error or IndexError for a message that cannot be read."""
    questions, *counts = struct.unpack_from("!HHHH", packet, 4)
    at = HEADER
    for _ in range(questions):
        at = _after_name(packet, at) + 4
    start = at
    for _ in range(sum(counts)):
        start, at = at, _after_name(packet, at)
        (length,) = struct.unpack_from("!H", packet, at + 8)
        at += 10 + length
    return start


def _after_name(packet: bytes, at: int) -> int:
    """What a name refers to (by compression) need not be read to know where it ends."""
    while (size := packet[at]) < POINTER:
        at += 1 + size
        if not size:
            return at
    return at + 2
