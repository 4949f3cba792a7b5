"""dnspython messages -> wire, with what dnspython lacks: record-wise truncation, compression that keeps the case.

Truncation is by whole records, in order; TC is set when any record is left out, OPT is always kept (as CoreDNS does;
RFC 2181 section 9 would allow to leave out additional records without TC).
"""

from __future__ import annotations

import io
import struct
from typing import Any, cast

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

HEADER = struct.Struct("!HHHHHH")
MAX_UDP = 512
MAX_TCP = 65535
A, SRV, SOA = int(dns.rdatatype.A), int(dns.rdatatype.SRV), int(dns.rdatatype.SOA)
ALIASES = frozenset({int(dns.rdatatype.CNAME), int(dns.rdatatype.NS), int(dns.rdatatype.PTR)})


class ExactCompression:
    """dnspython's compression table keyed by exact labels, so that a pointer never changes a name's spelling."""

    __slots__ = ("offsets",)

    def __init__(self) -> None:
        self.offsets: dict[tuple[bytes, ...], int] = {}

    def get(self, name: dns.name.Name) -> int | None:
        return self.offsets.get(name.labels)

    def __setitem__(self, name: dns.name.Name, offset: int) -> None:
        self.offsets[name.labels] = offset


class Opt:
    """The OPT record of a reply: the client's size and DO bit come back (facts: CoreDNS echoes both)."""

    __slots__ = ("flags", "options", "payload")

    def __init__(self, payload: int, *, flags: int = 0, options: tuple[dns.edns.Option, ...] = ()) -> None:
        self.payload = payload
        self.flags = flags
        self.options = options

    def wire(self, extended_rcode: int) -> bytes:
        data = b"".join(
            struct.pack("!HH", int(option.otype), len(body)) + body
            for option in self.options
            if (body := option.to_wire()) is not None
        )
        ttl = (extended_rcode << 24) | self.flags
        return b"\0" + struct.pack("!HHIH", dns.rdatatype.OPT, self.payload, ttl, len(data)) + data


def render(message: dns.message.Message, limit: int, opt: Opt | None) -> bytes:
    """The wire form of ``message`` in at most ``limit`` octets."""
    rcode = int(message.rcode())
    tail = opt.wire(rcode >> 4) if opt is not None else b""
    out = _Writer(limit - len(tail))
    for rrset in message.question:
        out.question(rrset)
    counts = [0, 0, 0]
    flags = int(message.flags) & ~0xF | (rcode & 0xF)
    for index, section in enumerate((message.answer, message.authority, message.additional)):
        counts[index], complete = out.section(section)
        if not complete:
            flags |= dns.flags.TC
            break
    counts[2] += opt is not None
    body = out.file.getvalue() + tail
    return HEADER.pack(message.id, flags, len(message.question), *counts) + body[HEADER.size :]


def render_query(message: dns.message.Message) -> bytes:
    """As dnspython renders it, several times faster."""
    if message.edns < 0:
        return render(message, MAX_TCP, None)
    return render(message, MAX_TCP, Opt(message.payload, flags=message.ednsflags, options=tuple(message.options)))


def raw_size(message: dns.message.Message) -> int:
    """Octets the message would take without compression, which is how CoreDNS tells sizes."""
    found = HEADER.size + sum(_raw_size(rrset.name) + 4 for rrset in message.question)
    for section in (message.answer, message.authority, message.additional):
        for rrset in section:
            found += sum(_raw_size(rrset.name) + 10 + len(rdata.to_wire() or b"") for rdata in rrset)
    if message.opt is not None:
        found += 11 + sum(len(option.to_wire() or b"") + 4 for option in message.options)
    return found


def _raw_size(name: dns.name.Name) -> int:
    return sum(len(label) + 1 for label in name.labels)


def render_bare(query: bytes, rcode: int) -> bytes:
    """A reply that is a header alone, for queries that cannot be read: id, opcode and RD come back."""
    (flags,) = struct.unpack_from("!H", query, 2)
    kept = flags & (0x7800 | dns.flags.RD)
    return query[:2] + struct.pack("!HHHHH", dns.flags.QR | kept | rcode, 0, 0, 0, 0)


class _Writer:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.file = io.BytesIO()
        self.file.write(bytes(HEADER.size))
        self.names = ExactCompression()

    def question(self, rrset: dns.rrset.RRset) -> None:
        self._name(rrset.name)
        self.file.write(struct.pack("!HH", rrset.rdtype, rrset.rdclass))

    def section(self, rrsets: list[dns.rrset.RRset]) -> tuple[int, bool]:
        """How many records were written, and whether that is all of them."""
        count = 0
        for rrset in rrsets:
            for rdata in rrset:
                if not self._record(rrset, rdata):
                    return count, False
                count += 1
        return count, True

    def _record(self, rrset: dns.rrset.RRset, rdata: dns.rdata.Rdata) -> bool:
        start = self.file.tell()
        self._name(rrset.name)
        self.file.write(struct.pack("!HHIH", rrset.rdtype, rrset.rdclass, rrset.ttl, 0))
        data = self.file.tell()
        self._rdata(rdata)
        end = self.file.tell()
        if end > self.limit:  # nothing is written any more that could point into it
            self.file.seek(start)
            self.file.truncate()
            return False
        self.file.seek(data - 2)
        self.file.write(struct.pack("!H", end - data))
        self.file.seek(end)
        return True

    def _rdata(self, rdata: Any) -> None:
        """The types a cluster zone is made of directly, all others through dnspython."""
        rdtype = rdata.rdtype
        if rdtype == A:
            self.file.write(bytes(map(int, rdata.address.split("."))))
        elif rdtype in ALIASES:
            self._name(rdata.target)
        elif rdtype == SRV:  # its target is never compressed (RFC 2782)
            self.file.write(struct.pack("!HHH", rdata.priority, rdata.weight, rdata.port))
            self._whole_name(rdata.target)
        elif rdtype == SOA:
            self._name(rdata.mname)
            self._name(rdata.rname)
            numbers = (rdata.serial, rdata.refresh, rdata.retry, rdata.expire, rdata.minimum)
            self.file.write(struct.pack("!IIIII", *numbers))
        else:
            rdata.to_wire(self.file, cast(Any, self.names))

    def _whole_name(self, name: dns.name.Name) -> None:
        """Without a pointer in it, but later names may point to it."""
        labels, offsets, file = name.labels, self.names.offsets, self.file
        for index in range(len(labels) - 1):
            at = file.tell()
            if at < 0x4000:
                offsets.setdefault(labels[index:], at)
            file.write(bytes((len(labels[index]),)) + labels[index])
        file.write(b"\0")

    def _name(self, name: dns.name.Name) -> None:
        """dnspython's Name.to_wire, without an object for every suffix."""
        labels, offsets, file = name.labels, self.names.offsets, self.file
        for index in range(len(labels) - 1):
            suffix = labels[index:]
            known = offsets.get(suffix)
            if known is not None:
                file.write(struct.pack("!H", 0xC000 | known))
                return
            at = file.tell()
            if at < 0x4000:
                offsets[suffix] = at
            file.write(bytes((len(labels[index]),)) + labels[index])
        file.write(b"\0")
