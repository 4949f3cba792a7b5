"""Shuffles A, AAAA and MX records, CNAMEs in front, so that clients that take the first spread over all."""

from __future__ import annotations

from ipaddress import ip_address

import dns.rdatatype
import dns.rrset

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.loadbalance.config import Config

SHUFFLED = frozenset({dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.MX})


class LoadBalance:
    name = "loadbalance"

    def __init__(self, config: Config, site: Site) -> None:
        self._prefer = config.prefer
        self._shuffle = site.host.random.shuffle

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        message = answer.message
        if message is not None and message.answer and query.rdtype not in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
            # Lists are replaced, never changed: a cache may hold the same rrsets.
            if any(len(rrset) > 1 and rrset.rdtype in SHUFFLED for rrset in (*message.answer, *message.additional)):
                answer.lasting = None  # the next one is to get another order
            message.answer = self._arranged(message.answer)
            message.additional = self._arranged(message.additional)
        return answer

    def _arranged(self, section: list[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
        found = [self._shuffled(rrset) if rrset.rdtype in SHUFFLED and len(rrset) > 1 else rrset for rrset in section]
        return sorted(found, key=_rank) if len(found) > 1 else found

    def _shuffled(self, rrset: dns.rrset.RRset) -> dns.rrset.RRset:
        rdatas = list(rrset)
        self._shuffle(rdatas)
        if self._prefer and rrset.rdtype != dns.rdatatype.MX:
            rdatas.sort(key=lambda rdata: self._preference(rdata.address))
        found = dns.rrset.RRset(rrset.name, rrset.rdclass, rrset.rdtype)
        for rdata in rdatas:
            found.add(rdata, rrset.ttl)
        return found

    def _preference(self, address: str) -> int:
        parsed = ip_address(address)
        return next((i for i, net in enumerate(self._prefer) if parsed in net), len(self._prefer))


def _rank(rrset: dns.rrset.RRset) -> int:
    """CNAMEs, then what keeps its place, then what is shuffled (CoreDNS's roundRobin)."""
    if rrset.rdtype == dns.rdatatype.CNAME:
        return 0
    return 2 if rrset.rdtype in SHUFFLED else 1


def make(config: Config, site: Site) -> LoadBalance:
    return LoadBalance(config, site)
