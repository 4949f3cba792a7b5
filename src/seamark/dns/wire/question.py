"""Ordinary queries -> messages, several times faster than dnspython's general reader; None for any other packet.

Ordinary is: one question with an uncompressed name, nothing else but at most an OPT without options. What this reads,
dnspython reads the same (a property test compares the two); what it does not, is dnspython's to read or to refuse.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset

HEADER = struct.Struct("!HHHHHH")
TAIL = struct.Struct("!HH")
OPT = struct.Struct("!BHHIH")
MAX_NAME = 255


def parse_query(packet: bytes) -> dns.message.QueryMessage | None:
    identity, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if questions != 1 or answers or authorities or additionals > 1 or flags & 0x7800:
        return None
    labels, at = _labels(packet)
    if labels is None or len(packet) < at + TAIL.size:
        return None
    rdtype, rdclass = TAIL.unpack_from(packet, at)
    opt = None
    if additionals:
        opt = _opt(packet, at + TAIL.size)
        if opt is None:
            return None
    found = dns.message.QueryMessage(id=identity)
    found.flags = dns.flags.Flag(flags)
    found.question = [_question(labels, rdtype, rdclass)]
    found.opt = opt
    return found


def _labels(packet: bytes) -> tuple[tuple[bytes, ...] | None, int]:
    """The name at the question's place and where it ends."""
    found, at, end = [], HEADER.size, len(packet)
    while at < end:
        length = packet[at]
        at += 1
        if length > 63 or at - HEADER.size + length > MAX_NAME:
            return None, at
        found.append(packet[at : at + length])
        if not length:
            return tuple(found), at
        at += length
    return None, at


@lru_cache(maxsize=8192)
def _question(labels: tuple[bytes, ...], rdtype: int, rdclass: int) -> dns.rrset.RRset:
    """Shared between the queries of one spelling: a question is never changed."""
    name = dns.name.Name(labels)
    return dns.rrset.RRset(name, dns.rdataclass.RdataClass.make(rdclass), dns.rdatatype.RdataType.make(rdtype))


def _opt(packet: bytes, at: int) -> dns.rrset.RRset | None:
    if len(packet) != at + OPT.size:
        return None
    root, rdtype, payload, ttl, length = OPT.unpack_from(packet, at)
    if root or rdtype != dns.rdatatype.OPT or length:
        return None
    return _plain_opt(payload, ttl)


@lru_cache(maxsize=64)
def _plain_opt(payload: int, ttl: int) -> dns.rrset.RRset:
    carrier = dns.message.QueryMessage(id=0)
    carrier.use_edns((ttl >> 16) & 0xFF, ttl, payload)
    assert carrier.opt is not None
    return carrier.opt
