"""Signs replies for clients that want DNSSEC, and answers for the zone's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import dns.dnssec
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype

from seamark.dns.corefile.keys import match_zone
from seamark.dns.corefile.lexer import Token
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.dnssec.config import Config
from seamark.dns.plugins.dnssec.keys import Key, read_key
from seamark.dns.plugins.dnssec.secretsmanager import MISSING, fetch_key, is_available
from seamark.dns.plugins.dnssec.signing import Signer
from seamark.dns.reply import answered, rrset_of

DNSKEY, RRSIG = dns.rdatatype.DNSKEY, dns.rdatatype.RRSIG
TTL = 3600
BROKEN = (OSError, ValueError, dns.exception.DNSException)


class Dnssec:
    name = "dnssec"

    def __init__(self, config: Config, site: Site) -> None:
        """Raises CorefileError for keys in files that will not do."""
        if config.secrets and not is_available():
            raise config.secrets[0].error(f"dnssec: '{config.secrets[0].text}': {MISSING}")
        self._config = config
        self._zones = config.zones
        self._host = site.host
        self._metrics = site.host.metrics
        self._keys: Sequence[Key] = ()
        self._take([_read(config, token, site.root) for token in config.keys])

    async def start(self) -> None:
        """Raises CorefileError for keys in AWS that will not do; queries wait, or the server before goes on."""
        if self._config.secrets:
            region = self._host.environment.get("AWS_REGION") or None  # botocore's own name is AWS_DEFAULT_REGION
            fetching = (asyncio.to_thread(_fetch, self._config, token, region) for token in self._config.secrets)
            self._take([*self._keys, *await asyncio.gather(*fetching)])

    def _take(self, keys: Sequence[Key]) -> None:
        config, host = self._config, self._host
        self._keys = keys
        original = TTL if host.as_coredns else 0
        self._signer = Signer(config.zones, keys, host.clock, config.capacity, original_ttl=original)

    async def serve(self, query: Query, following: Next) -> Answer:
        zone = match_zone(self._zones, query.text)
        if zone is None:
            return await following(query)
        wanted = query.message.edns >= 0 and bool(query.message.ednsflags & dns.flags.DO)
        if query.rdtype == DNSKEY and query.text == zone:
            records = [key.record for key in self._keys]
            answer = answered(query, self.name, answer=[rrset_of(query.name, self._keys[0].ttl, records)])
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
    sections = (*message.answer, *message.authority) if message is not None else ()
    return bool(answer.more) or any(rrset.rdtype == RRSIG for rrset in sections)


def _read(config: Config, token: Token, root: Path) -> Key:
    try:
        return _checked(config, token, read_key(root / token.text))
    except BROKEN as error:
        raise token.error(f"dnssec: '{token.text}' is not a key: {error}") from error


def _fetch(config: Config, token: Token, region: str | None) -> Key:
    try:
        return _checked(config, token, fetch_key(token.text, region))
    except BROKEN as error:
        raise token.error(f"dnssec: '{token.text}' is not a key in AWS Secrets Manager: {error}") from error


def _checked(config: Config, token: Token, key: Key) -> Key:
    """A key is for its own zone and those below it, as CoreDNS has it."""
    if not any(dns.name.from_text(zone).is_subdomain(key.owner) for zone in config.zones):
        tag = dns.dnssec.key_id(key.record)
        raise token.error(f"dnssec: key {key.owner} (keyid: {tag}) can not sign any of the zones")
    return key


def make(config: Config, site: Site) -> Dnssec:
    return Dnssec(config, site)
