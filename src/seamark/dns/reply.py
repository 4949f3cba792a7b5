"""Making replies: the header rules every plugin shares, and rrsets out of text.

A reply repeats id, opcode, question, RD and CD of its query. OPT is not a plugin's business: the server adds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

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

from seamark.dns.plugin import Answer, Query

PAYLOAD = 4096
Section = list[dns.rrset.RRset]


def reply_to(
    query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, *, authoritative: bool = False
) -> dns.message.Message:
    """An empty reply."""
    found = dns.message.QueryMessage(id=query.id)
    found.flags = dns.flags.QR | (query.flags & (dns.flags.RD | dns.flags.CD))
    if authoritative:
        found.flags |= dns.flags.AA
    found.set_opcode(query.opcode())
    found.set_rcode(rcode)
    found.question = list(query.question)
    return found


def requery(
    query: Query,
    name: dns.name.Name,
    *,
    rdtype: dns.rdatatype.RdataType | None = None,
    rdclass: dns.rdataclass.RdataClass | None = None,
) -> Query:
    """The same client's query for something else. The query given is not changed."""
    asked = query.message.question[0]
    message = dns.message.QueryMessage(id=query.message.id)
    message.flags, message.opt = query.message.flags, query.message.opt
    message.authority = list(query.message.authority)
    kind = query.rdtype if rdtype is None else rdtype
    message.question = [dns.rrset.RRset(name, asked.rdclass if rdclass is None else rdclass, kind)]
    return replace(query, message=message, name=name, rdtype=kind)


def answered(
    query: Query,
    by: str,
    *,
    answer: Section | None = None,
    authority: Section | None = None,
    additional: Section | None = None,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
) -> Answer:
    """An authoritative answer of plugin ``by``."""
    message = reply_to(query.message, rcode, authoritative=True)
    message.answer, message.authority, message.additional = answer or [], authority or [], additional or []
    return Answer(rcode, message, by)


def addressed(query: Query, by: str, addresses: Iterable[str], ttl: int = 30) -> Answer:
    """An authoritative answer with those addresses that fit the type asked; other types are NODATA."""
    wanted = query.rdtype.name
    fitting = [text for text in addresses if wanted == ("AAAA" if ":" in text else "A")]
    rdatas = [address_rdata(wanted, text) for text in fitting]
    return answered(query, by, answer=[rrset_of(query.name, ttl, rdatas)] if rdatas else [])


def failed(by: str, error: str, rcode: dns.rcode.Rcode = dns.rcode.SERVFAIL, *, expected: bool = False) -> Answer:
    """Nothing written: the server makes the reply, ``errors`` logs the reason unless that is ``expected``."""
    return Answer(rcode, None, by, f"plugin/{by}: {error}", expected)


def rrset_of(owner: dns.name.Name, ttl: int, rdatas: Iterable[dns.rdata.Rdata]) -> dns.rrset.RRset:
    """An rrset that keeps order and repeats nothing; ``rdatas`` is not empty."""
    first, *rest = rdatas
    found = dns.rrset.RRset(owner, first.rdclass, first.rdtype)
    found.ttl = ttl
    for rdata in (first, *rest):
        found.add(rdata, ttl)
    return found


def with_option(message: dns.message.Message, option: dns.edns.Option, *, flags: int = dns.flags.DO) -> None:
    """Adds an EDNS option; the server puts the client's size and flags in, where the client sent EDNS."""
    message.use_edns(0, flags, PAYLOAD, options=[*message.options, option])


@lru_cache(maxsize=4096)
def address_rdata(rdtype: str, address: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), address)
