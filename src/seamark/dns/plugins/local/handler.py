"""Answers for localhost and the reverse zones that belong to no network (RFC 6303, RFC 6761)."""

from __future__ import annotations

import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.local.config import Config
from seamark.dns.reply import address_rdata, reply_to, rrset_of

TTL = 604800
LOCALHOST = "localhost."
ZONES = (LOCALHOST, "0.in-addr.arpa.", "127.in-addr.arpa.", "255.in-addr.arpa.")
POINTER = "1.0.0.127.in-addr.arpa."
T = dns.rdatatype
ADDRESSES = {T.A: address_rdata("A", "127.0.0.1"), T.AAAA: address_rdata("AAAA", "::1")}
SOA = dns.rdata.from_text("IN", "SOA", f"localhost. root.localhost. 1 0 0 0 {TTL}")
NS = dns.rdata.from_text("IN", "NS", LOCALHOST)
PTR = dns.rdata.from_text("IN", "PTR", LOCALHOST)


class Local:
    name = "local"

    def __init__(self, config: Config, site: Site) -> None:
        self._prefix = config.prefix
        self._count = site.host.metrics.local_requests

    async def serve(self, query: Query, following: Next) -> Answer:
        text = query.text
        if len(text) > len(LOCALHOST) and (
            text.endswith(f".{LOCALHOST}") or (self._prefix and text.startswith(LOCALHOST))
        ):
            self._count.inc()
            return self._reply(query, ADDRESSES.get(query.rdtype), query.name)
        zone = match_zone(ZONES, text)
        if zone is None:
            return await following(query)
        apex = dns.name.Name(query.name.labels[-len(dns.name.from_text(zone).labels) :])
        rdata = self._find(text, zone, query.rdtype)
        rcode = dns.rcode.NOERROR if text in (zone, POINTER) else dns.rcode.NXDOMAIN
        return self._reply(query, rdata, apex, rcode)

    @staticmethod
    def _find(text: str, zone: str, rdtype: dns.rdatatype.RdataType) -> dns.rdata.Rdata | None:
        if text == POINTER:
            return PTR if rdtype == T.PTR else None
        if text != zone:
            return None
        found = {T.SOA: SOA, T.NS: NS, **(ADDRESSES if zone == LOCALHOST else {})}
        return found.get(rdtype)

    def _reply(
        self,
        query: Query,
        rdata: dns.rdata.Rdata | None,
        apex: dns.name.Name,
        rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    ) -> Answer:
        message = reply_to(query.message, rcode)
        if rdata is None:
            message.authority = [rrset_of(apex, TTL, [SOA])]
        else:
            message.answer = [rrset_of(query.name, TTL, [rdata])]
        return Answer(rcode, message, self.name)


def make(config: Config, site: Site) -> Local:
    return Local(config, site)
