"""Gives names that have IPv4 addresses only IPv6 addresses made of them (RFC 6147)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.dns64.config import Config
from seamark.dns.reply import address_rdata, failed, reply_to, rrset_of

A, AAAA, SOA = dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.SOA
LONGEST_TTL = 600
"""Seconds a made address lives where the zone does not say how long its absence would (RFC 6147 §5.1.7)."""


class Dns64:
    name = "dns64"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._lookup = site.lookup
        self._translated = site.host.metrics.dns64_translated

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        if answer.message is None or not self._concerns(query) or not self._lacks_addresses(answer.message):
            return answer
        plain = await self._lookup(query, query.name, A)
        if plain is None:
            return failed(self.name, f"the addresses of {query.text} lead back to itself")
        self._translated.labels(query.server).inc()
        message = _made(query.message, answer.message, plain, self._config.prefix)
        return Answer(message.rcode(), message, self.name)

    def _concerns(self, query: Query) -> bool:
        """Clients that ask over IPv4 can use IPv4."""
        over_ipv6 = ":" in query.client
        internet = query.message.question[0].rdclass == dns.rdataclass.IN
        return query.rdtype == AAAA and internet and (over_ipv6 or self._config.allow_ipv4)

    def _lacks_addresses(self, message: dns.message.Message) -> bool:
        """A name that does not exist has no IPv4 addresses either (RFC 6147 §5.1.2)."""
        if message.rcode() == dns.rcode.NXDOMAIN:
            return False
        return self._config.translate_all or all(rrset.rdtype != AAAA for rrset in message.answer)


def _made(
    asked: dns.message.Message, empty: dns.message.Message, plain: dns.message.Message, prefix: IPv6Network
) -> dns.message.Message:
    """The reply to the A query with each address translated; everything else as it is (RFC 6147 §5.3)."""
    bound = next((rrset.ttl for rrset in empty.authority if rrset.rdtype == SOA), LONGEST_TTL)
    found = reply_to(asked, plain.rcode())
    found.answer = [_translated(rrset, bound, prefix) if rrset.rdtype == A else rrset for rrset in plain.answer]
    found.authority, found.additional = list(plain.authority), list(plain.additional)
    return found


def _translated(rrset: dns.rrset.RRset, bound: int, prefix: IPv6Network) -> dns.rrset.RRset:
    addresses = (str(embed(IPv4Address(rdata.address), prefix)) for rdata in rrset)
    return rrset_of(rrset.name, min(rrset.ttl, bound), [address_rdata("AAAA", text) for text in addresses])


def embed(address: IPv4Address, prefix: IPv6Network) -> IPv6Address:
    """The IPv4-embedded IPv6 address; bits 64 to 71 stay zero (RFC 6052 §2.2)."""
    room = bytearray(prefix.network_address.packed)
    places = [at for at in range(prefix.prefixlen // 8, 16) if at != 8]
    for at, octet in zip(places, address.packed, strict=False):
        room[at] = octet
    return IPv6Address(bytes(room))


def make(config: Config, site: Site) -> Dns64:
    return Dns64(config, site)
