"""Answers out of zones, for the plugins that have some: ``file``, ``auto``, ``secondary``."""

from __future__ import annotations

import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.file.zone import Found, Zone
from seamark.dns.reply import reply_to

T = dns.rdatatype
MAX_LINKS = 8
TRANSFERS = (T.AXFR, T.IXFR)
WILDCARD = "zone/wildcard"
"""Metadata: the wildcard that an answer was made of."""


class Zones:
    """By name. ``by`` is the plugin that answers."""

    def __init__(self, by: str, site: Site) -> None:
        self._by = by
        self._site = site
        self._zones: dict[str, Zone] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._zones)

    def find(self, name: str) -> Zone | None:
        return self._zones.get(name)

    def replace(self, name: str, zone: Zone, *, is_news: bool = False) -> None:
        """Whoever is told of changes (plugin transfer) hears of it, where it is another one than before."""
        known = self._zones.get(name)
        self._zones[name] = zone
        if is_news or known is None or known.serial != zone.serial:
            for _, handler in self._site.plugins:
                if hasattr(handler, "changed"):
                    handler.changed(name)

    def remove(self, name: str) -> None:
        self._zones.pop(name, None)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        """All records, the SOA first and last; None for a zone that is not here."""
        zone = self._zones.get(name)
        return zone.transfer() if zone is not None else None

    async def answer(self, query: Query, following: Next, apex: str, fallthrough: tuple[str, ...] | None) -> Answer:
        """What the zone ``apex`` says; names it does not have are the next plugin's where they fall through."""
        if query.rdtype in TRANSFERS:
            return Answer(dns.rcode.REFUSED, None, self._by)
        found = await self._follow(query, self._zones[apex])
        falls = match_zone(fallthrough or (), query.text) is not None
        if falls and not found.answer and (found.is_between or found.rcode == dns.rcode.NXDOMAIN):
            return await following(query)
        is_ours = not found.is_referral or bool(found.answer)  # an alias in front of a referral is
        message = reply_to(query.message, found.rcode, authoritative=is_ours)
        message.answer, message.authority, message.additional = found.answer, found.authority, found.additional
        return Answer(found.rcode, message, self._by)

    async def _follow(self, query: Query, zone: Zone) -> Found:
        """Aliases to their end, inside here and outside through the own server."""
        name, chain, proofs = query.name.canonicalize(), list[dns.rrset.RRset](), list[dns.rrset.RRset]()
        secured = query.message.edns >= 0 and bool(query.message.ednsflags & dns.flags.DO)
        for _ in range(MAX_LINKS):
            found = zone.find(name, query.rdtype, secured=secured)
            proofs += found.proofs
            if found.wild is not None:
                query.metadata[WILDCARD] = found.wild.to_text
            if found.target is None:
                is_aliased = bool(chain) and not found.answer and not found.is_referral
                if is_aliased and zone.holds(name) and query.rdtype != T.NS and not (secured and zone.is_signed):
                    found.authority = zone.servers  # the alias is the answer, so this is no denial (as CoreDNS)
                found.answer = [*chain, *found.answer]
                found.authority = [*found.authority, *proofs]
                return found
            chain += found.answer
            name = found.target
            if not name.is_subdomain(zone.origin):
                servers = zone.signed(zone.servers) if secured else zone.servers
                return await self._elsewhere(query, name, chain, [*servers, *proofs])
        return Found([], [], rcode=dns.rcode.SERVFAIL)

    async def _elsewhere(
        self, query: Query, name: dns.name.Name, chain: list[dns.rrset.RRset], authority: list[dns.rrset.RRset]
    ) -> Found:
        message = await self._site.lookup(query, name, query.rdtype)
        rcode = message.rcode() if message is not None else dns.rcode.SERVFAIL
        outside = message.answer if message is not None else []
        told = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL)
        return Found([*chain, *outside], authority, rcode=rcode if rcode in told else dns.rcode.NOERROR)
