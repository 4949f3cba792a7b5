"""A DNS question and what has to come back, written as zone-file text, so that a case reads like a dig transcript.

The same cases run against a handler, a whole server and, where one is at hand, against another implementation. Records
compare as sets within their section: order is a load balancer's business. SOA serials are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass(frozen=True, slots=True)
class DnsCase:
    """``answer``, ``authority`` and ``additional`` hold one record a line: ``owner ttl IN type data``.

    ``aa`` None = not compared. Owners and names compare with their spelling.
    """

    qname: str
    qtype: str = "A"
    rcode: str = "NOERROR"
    answer: str = ""
    authority: str = ""
    additional: str = ""
    aa: bool | None = True

    def __str__(self) -> str:
        return f"{self.qname} {self.qtype}"

    def query(self, *, payload: int | None = None) -> dns.message.QueryMessage:
        """The question; with ``payload``, an OPT of that size."""
        name = dns.name.from_text(self.qname)
        return dns.message.make_query(name, self.qtype, use_edns=payload is not None, payload=payload or 0)

    def differences(self, found: dns.message.Message) -> list[str]:
        """What is not as the case says; empty = all is."""
        problems = []
        if dns.rcode.to_text(found.rcode()) != self.rcode:
            problems.append(f"rcode: {dns.rcode.to_text(found.rcode())}, not {self.rcode}")
        if self.aa is not None and bool(found.flags & dns.flags.AA) != self.aa:
            problems.append(f"AA: {not self.aa}")
        sections = (
            ("answer", self.answer, found.answer),
            ("authority", self.authority, found.authority),
            ("additional", self.additional, found.additional),
        )
        for name, text, section in sections:
            wanted, got = parse_records(text), render_records(section)
            problems += [f"{name}: missing  {record}" for record in sorted(wanted - got)]
            problems += [f"{name}: surplus  {record}" for record in sorted(got - wanted)]
        return problems


def parse_records(text: str) -> set[str]:
    """One normal line per record, as ``render_records`` writes them."""
    found = set()
    for line in text.splitlines():
        if line.strip():
            owner, ttl, rdclass, rdtype, data = line.split(None, 4)
            found |= render_records([dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, data)])
    return found


def render_records(section: Iterable[dns.rrset.RRset]) -> set[str]:
    found = set()
    for rrset in section:
        for rdata in rrset:
            data = rdata.to_text()
            if rrset.rdtype == dns.rdatatype.SOA:
                words = data.split()
                data = " ".join((*words[:2], "SERIAL", *words[3:]))
            rdtype = dns.rdatatype.to_text(rrset.rdtype)
            found.add(f"{rrset.name.to_text()} {rrset.ttl} IN {rdtype} {data}")
    return found
