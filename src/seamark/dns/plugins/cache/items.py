"""What a cache may keep of an answer, and for how long. Pure: the time is given.

Rule: one TTL for a whole answer, the least of its records, cut by the configured bounds (CoreDNS does so on the miss
path too). Not kept: truncated answers, NXDOMAIN without SOA, NOERROR with records that do not answer the question
(a CNAME chain that ends nowhere), and rcodes other than NOERROR, NXDOMAIN and SERVFAIL.
"""

from __future__ import annotations

from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from seamark.dns.plugins.cache.config import Config, Kind

CNAME, SOA, ANY = dns.rdatatype.CNAME, dns.rdatatype.SOA, dns.rdatatype.ANY

Key = tuple[tuple[bytes, ...], int, bool, bool]
"""Lower-case labels, type, DO, CD."""


@dataclass(slots=True)
class Item:
    """A kept answer. ``version`` is the state of the tables it was made beside; another state ends it."""

    message: dns.message.Message
    kind: str
    ttl: int
    stored: float
    version: int
    hits: int = 0
    last_hit: float = 0.0
    refreshing: bool = False
    recheck_at: float = 0.0
    """Until when a refresh that failed is not tried again."""

    @property
    def answers(self) -> bool:
        """Whether it holds what was asked for."""
        return self.kind == "success" and _answers(self.message)

    def left(self, now: float) -> int:
        return self.ttl - int(now - self.stored)

    def hit(self, now: float, period: float) -> int:
        """How often it was asked without a longer gap."""
        self.hits = 1 if now - self.last_hit > period else self.hits + 1
        self.last_hit = now
        return self.hits


def key_of(message: dns.message.Message, name: dns.name.Name, rdtype: int) -> Key:
    do = message.edns >= 0 and bool(message.ednsflags & dns.flags.DO)
    return tuple(label.lower() for label in name.labels), rdtype, do, bool(message.flags & dns.flags.CD)


def select_kind(message: dns.message.Message) -> str | None:
    """success, denial or servfail; None for what is not kept."""
    rcode = message.rcode()
    if message.flags & dns.flags.TC or not message.question:
        return None
    if rcode == dns.rcode.SERVFAIL:
        return "servfail"
    has_soa = any(rrset.rdtype == SOA for rrset in message.authority)
    if rcode == dns.rcode.NXDOMAIN:
        return "denial" if has_soa else None
    if rcode != dns.rcode.NOERROR:
        return None
    if not message.answer:
        return "denial" if has_soa else "success"
    if _answers(message):
        return "success"
    return "denial" if has_soa else None


def compute_ttl(message: dns.message.Message, kind: str, config: Config) -> int:
    """The TTL of the whole answer: the least, within the bounds of its kind. Denials obey the SOA's minimum too."""
    if kind == "servfail":
        return int(config.servfail)
    bounds: Kind = config.success if kind == "success" else config.denial
    ttls = [rrset.ttl for section in _sections(message) for rrset in section]
    if kind == "denial":
        ttls += [rrset[0].minimum for rrset in message.authority if rrset.rdtype == SOA]
    least = min(ttls, default=bounds.least)
    return max(min(least, bounds.ttl), min(bounds.least, bounds.ttl))


def with_ttl(message: dns.message.Message, ttl: int) -> dns.message.Message:
    """A copy whose records all have ``ttl``."""
    found = dns.message.QueryMessage(id=message.id)
    found.flags = message.flags
    found.question = list(message.question)
    found.answer, found.authority, found.additional = (
        [_retimed(rrset, ttl) for rrset in section] for section in _sections(message)
    )
    return found  # its rcode is among the flags: nothing is kept that has a longer one


def bounded(message: dns.message.Message, config: Config) -> dns.message.Message:
    """The message with the TTL it would have, were it kept."""
    kind = select_kind(message)
    if kind is None or kind == "servfail":
        return message
    ttl = compute_ttl(message, kind, config)
    same = all(rrset.ttl == ttl for section in _sections(message) for rrset in section)
    if same:
        return message
    found = with_ttl(message, ttl)
    found.opt = message.opt
    return found


def respelled(message: dns.message.Message, name: dns.name.Name) -> dns.message.Message:
    """Owners equal to the question get this question's spelling, not that of the one which filled the cache (0x20)."""
    for rrset in message.answer:
        if rrset.name == name:
            rrset.name = name
    return message


def _sections(message: dns.message.Message) -> tuple[list[dns.rrset.RRset], ...]:
    return message.answer, message.authority, message.additional


def _retimed(rrset: dns.rrset.RRset, ttl: int) -> dns.rrset.RRset:
    found = dns.rrset.RRset(rrset.name, rrset.rdclass, rrset.rdtype, rrset.covers)
    found.items = rrset.items  # shared: rrsets of an answer are replaced, never changed
    found.ttl = ttl
    return found


def _answers(message: dns.message.Message) -> bool:
    """Whether following CNAMEs from the question reaches a record of the type asked."""
    asked = message.question[0]
    name, seen = asked.name, set()
    aliases = {r.name: r[0].target for r in message.answer if r.rdtype == CNAME}
    while asked.rdtype not in (CNAME, ANY) and name in aliases and name not in seen:
        seen.add(name)
        name = aliases[name]
    return any(r.name == name and asked.rdtype in (r.rdtype, ANY) for r in message.answer)
