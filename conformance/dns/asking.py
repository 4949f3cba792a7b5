"""Asks both servers the same, over UDP and TCP, and compares what they say.

Not compared: SOA serials and when signatures were made (each server's own clock); where an answer is cut off, which
of its records were left out; TTLs of cached answers.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable, Iterator

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from conformance.dns.differences import Difference, Side
from conformance.dns.questions import Asking
from seamark.testing.dnscase import render_records

TIMEOUT = 5.0
_TTL = re.compile(r" \d+ IN ")
_MADE = re.compile(r"( IN RRSIG \S+ \S+ \S+ \S+) \d+ \d+ (\S+ \S+) .*")
"""Of a signature the parts in front of its dates and between them and the octets."""


class Server:
    """One of the two, at its port; the TCP connection is used again while it lasts."""

    def __init__(self, port: int) -> None:
        self._where = ("127.0.0.1", port)
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.connect(self._where)
        self._udp.settimeout(TIMEOUT)
        self._tcp: socket.socket | None = None

    def ask(self, asking: Asking, wire: bytes) -> Side:
        try:
            if asking.protocol == "udp":
                return _side([self._over_udp(wire)])
            return _side(self._over_tcp(wire, is_transfer=asking.rdtype in ("AXFR", "IXFR")))
        except (OSError, dns.exception.DNSException) as error:
            self.close_tcp()
            return {"rcode": f"no answer: {type(error).__name__}"}

    def close(self) -> None:
        self._udp.close()
        self.close_tcp()

    def close_tcp(self) -> None:
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None

    def _over_udp(self, wire: bytes) -> dns.message.Message:
        self._udp.send(wire)
        while (found := self._udp.recv(65535))[:2] != wire[:2]:
            continue
        return dns.message.from_wire(found)

    def _over_tcp(self, wire: bytes, *, is_transfer: bool) -> list[dns.message.Message]:
        """Once more on a new connection where the kept one turns out to be closed."""
        kept = self._tcp is not None and not is_transfer
        try:
            return self._exchange(wire, is_transfer=is_transfer)
        except (EOFError, OSError):
            self.close_tcp()
            if not kept:
                raise OSError("closed") from None
            return self._exchange(wire, is_transfer=is_transfer)

    def _exchange(self, wire: bytes, *, is_transfer: bool) -> list[dns.message.Message]:
        if self._tcp is None or is_transfer:
            self.close_tcp()
            self._tcp = socket.create_connection(self._where, TIMEOUT)
        self._tcp.sendall(struct.pack("!H", len(wire)) + wire)
        found = [self._receive()]
        while is_transfer and not _is_whole(found):
            found.append(self._receive())
        return found

    def _receive(self) -> dns.message.Message:
        (length,) = struct.unpack("!H", self._exactly(2))
        return dns.message.from_wire(self._exactly(length), one_rr_per_rrset=True)

    def _exactly(self, size: int) -> bytes:
        assert self._tcp is not None
        found = b""
        while len(found) < size:
            more = self._tcp.recv(size - len(found))
            if not more:
                raise EOFError
            found += more
        return found


def _is_whole(messages: list[dns.message.Message]) -> bool:
    """A transfer ends with the SOA it began with; what is refused has no records."""
    records = [rrset for message in messages for rrset in message.answer]
    if not records or messages[0].rcode() != dns.rcode.NOERROR:
        return True
    return len(records) > 1 and records[-1].rdtype == dns.rdatatype.SOA


def _side(messages: list[dns.message.Message]) -> Side:
    first = messages[0]
    options = sorted((int(option.otype), option.to_wire()) for option in first.options)
    return {
        "rcode": dns.rcode.to_text(first.rcode()),
        "flags": dns.flags.to_text(first.flags),
        "question": [(str(q.name), int(q.rdtype)) for q in first.question],
        "answer": _records(messages, "answer"),
        "authority": _records(messages, "authority"),
        "additional": [r for r in _records(messages, "additional") if " IN SRV 0 0 " not in r],
        "edns": (first.edns, first.payload, first.ednsflags, options) if first.edns >= 0 else None,
    }


def _records(messages: list[dns.message.Message], section: str) -> list[str]:
    found: list[str] = []
    for message in messages:
        rrsets: list[dns.rrset.RRset] = getattr(message, section)
        found += render_records(rrsets)
    return sorted({_MADE.sub(r"\1 \2", record) for record in found})


def compare(
    case: str, ports: tuple[int, int], questions: Iterable[Asking], *, sloppy_ttl: bool
) -> Iterator[Difference]:
    ours, theirs = (Server(port) for port in ports)
    for number, asking in enumerate(questions):
        query = dns.message.make_query(asking.name, asking.rdtype, id=number & 0xFFFF, **dict(asking.edns))
        wire = query.to_wire()
        here, there = ours.ask(asking, wire), theirs.ask(asking, wire)
        if sloppy_ttl:
            here, there = _without_ttl(here), _without_ttl(there)
        if here != there and not _both_cut_alike(here, there):
            yield Difference(case, str(asking), here, there)
    ours.close()
    theirs.close()


def _without_ttl(side: Side) -> Side:
    sections = ("answer", "authority", "additional")
    return {
        key: sorted(_TTL.sub(" IN ", r) for r in value) if key in sections else value for key, value in side.items()
    }


def _both_cut_alike(ours: Side, theirs: Side) -> bool:
    """Same size and TC, other records: which ones come first is each server's own."""
    if "TC" not in ours.get("flags", "") or ours.get("flags") != theirs.get("flags"):
        return False
    sections = ("answer", "authority", "additional")
    return all(abs(len(ours[s]) - len(theirs[s])) <= 1 for s in sections) and ours["edns"] == theirs["edns"]
