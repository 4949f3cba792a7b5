"""Answers ANY with a HINFO record that says no (RFC 8482)."""

from __future__ import annotations

import dns.rcode
import dns.rdata
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.any.config import Config
from seamark.dns.reply import reply_to, rrset_of

TTL = 8482
HINFO = dns.rdata.from_text("IN", "HINFO", '"ANY obsoleted" "See RFC 8482"')


class Any:
    name = "any"

    async def serve(self, query: Query, following: Next) -> Answer:
        if query.rdtype != dns.rdatatype.ANY:
            return await following(query)
        message = reply_to(query.message)
        message.answer = [rrset_of(query.name, TTL, [HINFO])]
        return Answer(dns.rcode.NOERROR, message, self.name)


def make(config: Config, site: Site) -> Any:
    return Any()
