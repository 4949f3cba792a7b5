"""Answers with fixed addresses, and now and then late, short or not at all."""

from __future__ import annotations

import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.erratic.config import Config
from seamark.dns.reply import addressed, answered, failed, rrset_of

IPV6 = "2001:db8::53"
LARGE = 30
AXFR = dns.rdatatype.AXFR


class Erratic:
    name = "erratic"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._clock = site.host.clock
        self._seen = -1

    def ready(self) -> bool:
        return True

    async def serve(self, query: Query, following: Next) -> Answer:
        self._seen += 1
        if self._hits(self._config.drop):
            return Answer(dns.rcode.NOERROR, None, self.name, dropped=True)
        if self._hits(self._config.delay):
            await self._clock.sleep(self._config.seconds)
        return self._answer(query, truncated=self._hits(self._config.truncate))

    def _hits(self, amount: int) -> bool:
        return amount > 0 and self._seen % amount == 0

    def _answer(self, query: Query, *, truncated: bool) -> Answer:
        if query.rdtype == AXFR:
            return answered(query, self.name, answer=_transfer(query.name, ends=not truncated))
        answer = addressed(query, self.name, self._addresses(), ttl=0)
        if answer.message is None or not answer.message.answer:
            return failed(self.name, f"type {query.rdtype.name} is not served", expected=True)
        if truncated:
            answer.message.flags |= dns.flags.TC
        return answer

    def _addresses(self) -> tuple[str, ...]:
        """``large`` is more A records than 512 octets hold."""
        more = LARGE if self._config.large else 1
        return (*(f"192.0.2.{53 + at}" for at in range(more)), IPV6)


def _transfer(zone: dns.name.Name, *, ends: bool) -> list[dns.rrset.RRset]:
    """A small zone; without its last SOA the client knows that it is not whole."""
    servers = [dns.name.from_text(label, zone) for label in ("b", "a")]
    soa = _records(zone, "SOA", f"{servers[1]} noc.{zone} 2018050825 7200 3600 1209600 3600")
    found = [
        soa,
        _records(zone, "NS", *map(str, servers)),
        _records(servers[1], "AAAA", "2001:db8::53"),
        _records(servers[0], "AAAA", "2001:db8::54"),
    ]
    return [*found, soa] if ends else found


def _records(owner: dns.name.Name, rdtype: str, *texts: str) -> dns.rrset.RRset:
    kind = dns.rdatatype.from_text(rdtype)
    return rrset_of(owner, 0, [dns.rdata.from_text(dns.rdataclass.IN, kind, text) for text in texts])


def make(config: Config, site: Site) -> Erratic:
    return Erratic(config, site)
