"""Tells a client its own address, port and protocol, in the additional section."""

from __future__ import annotations

import dns.name
import dns.rdata

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.whoami.config import Config
from seamark.dns.reply import address_rdata, answered, rrset_of


class Whoami:
    name = "whoami"

    async def serve(self, query: Query, following: Next) -> Answer:
        rdtype = "AAAA" if ":" in query.client else "A"
        address = rrset_of(query.name, 0, [address_rdata(rdtype, query.client)])
        owner = dns.name.Name((f"_{query.network}".encode(), *query.name.labels))
        port = rrset_of(owner, 0, [dns.rdata.from_text("IN", "SRV", f"0 0 {query.client_port} .")])
        return answered(query, self.name, additional=[address, port])


def make(config: Config, site: Site) -> Whoami:
    return Whoami()
