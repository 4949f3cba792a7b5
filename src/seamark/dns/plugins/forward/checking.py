"""What of an upstream's reply is an answer to the question that was asked. Pure.

A reply to another question is none. Of a reply to ours, records stay that belong to it: in the answer those at the
name asked and along its aliases, in authority those of zones around these names (and DNSSEC's proofs), in additional
what the others point to. Everything else is what a lying upstream would slip into a client's memory.
"""

from __future__ import annotations

from collections.abc import Iterable

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

T = dns.rdatatype
PROOFS = frozenset({T.NSEC, T.NSEC3, T.RRSIG})
Section = list[dns.rrset.RRset]


def is_for(reply: dns.message.Message, query: dns.message.Message) -> bool:
    """Whether it answers that question. Servers that fail may leave the question out."""
    if not reply.question:
        return reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    (asked,), given = query.question, reply.question[0]
    return (given.name, given.rdtype, given.rdclass) == (asked.name, asked.rdtype, asked.rdclass)


def keep_bailiwick(reply: dns.message.Message, asked: dns.name.Name) -> bool:
    """Takes out what does not belong; False if the answer held records and none of them does."""
    names = _chain(reply.answer, asked)
    answer = [rrset for rrset in reply.answer if rrset.name in names or _is_link(rrset, names)]
    if reply.answer and not answer:
        return False
    reply.answer = answer
    reply.authority = [
        rrset
        for rrset in reply.authority
        if rrset.rdtype in PROOFS or any(name.is_subdomain(rrset.name) for name in names)
    ]
    pointed = names | set(_targets([*reply.answer, *reply.authority]))
    reply.additional = [rrset for rrset in reply.additional if rrset.name in pointed]
    return True


def _chain(answer: Section, asked: dns.name.Name) -> set[dns.name.Name]:
    """The name and what its aliases lead to, whatever their order."""
    links = {rrset.name: rrset[0].target for rrset in answer if rrset.rdtype == T.CNAME and len(rrset)}
    names = {asked}
    name = asked
    while (name := links.get(name, name)) not in names:
        names.add(name)
    return names


def _is_link(rrset: dns.rrset.RRset, names: Iterable[dns.name.Name]) -> bool:
    """A DNAME (or its signature) above one of the names."""
    kind = rrset[0].type_covered if rrset.rdtype == T.RRSIG and len(rrset) else rrset.rdtype
    return kind == T.DNAME and any(name.is_subdomain(rrset.name) for name in names)


def _targets(section: Section) -> Iterable[dns.name.Name]:
    for rrset in section:
        for rdata in rrset:
            for field in ("target", "exchange", "replacement"):
                found = getattr(rdata, field, None)
                if isinstance(found, dns.name.Name):
                    yield found
