"""Signs replies for clients that want DNSSEC, and answers for the zone's keys."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.rdatatype

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.dnssec.config import Config
from seamark.dns.plugins.dnssec.keys import Key, read_key
from seamark.dns.plugins.dnssec.signing import Signer
from seamark.dns.reply import answered, rrset_of

DNSKEY, RRSIG = dns.rdatatype.DNSKEY, dns.rdatatype.RRSIG
TTL = 3600


class Dnssec:
    name = "dnssec"

    def __init__(self, config: Config, site: Site) -> None:
        self._zones = config.zones
        self._keys = [_read(config, site, at) for at in range(len(config.keys))]
        original = TTL if site.host.as_coredns else 0
        self._signer = Signer(config.zones, self._keys, site.host.clock, config.capacity, original_ttl=original)
        self._metrics = site.host.metrics

    async def serve(self, query: Query, following: Next) -> Answer:
        zone = match_zone(self._zones, query.text)
        if zone is None:
            return await following(query)
        wanted = query.message.edns >= 0 and bool(query.message.ednsflags & dns.flags.DO)
        if query.rdtype == DNSKEY and query.text == zone:
            records = [key.record for key in self._keys]
            answer = answered(query, self.name, answer=[rrset_of(query.name, TTL, records)])
        else:
            answer = await following(query)
        if wanted and answer.message is not None and not _is_signed(answer):
            self._sign(query, zone, answer)
        return answer

    def _sign(self, query: Query, zone: str, answer: Answer) -> None:
        assert answer.message is not None
        signer, hits, misses = self._signer, self._signer.hits, self._signer.misses
        signer.sign(query, zone, answer.message)
        answer.rcode = answer.message.rcode()
        answer.lasting = None
        self._metrics.dnssec_entries.labels(query.server, "signature").set(signer.entries)
        self._metrics.dnssec_hits.labels(query.server).inc(signer.hits - hits)
        self._metrics.dnssec_misses.labels(query.server).inc(signer.misses - misses)


def _is_signed(answer: Answer) -> bool:
    """By whoever holds the zone; and a transfer is as it is."""
    message = answer.message
    return bool(answer.more) or (message is not None and any(rrset.rdtype == RRSIG for rrset in message.answer))


def _read(config: Config, site: Site, at: int) -> Key:
    token = config.keys[at]
    try:
        return read_key(site.root / token.text)
    except (OSError, ValueError, dns.exception.DNSException) as error:
        raise token.error(f"dnssec: '{token.text}' is not a key: {error}") from error


def make(config: Config, site: Site) -> Dnssec:
    return Dnssec(config, site)
