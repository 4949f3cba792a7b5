"""Shuffles A, AAAA and MX records, CNAMEs in front, so that clients that take the first spread over all; or chooses the
first address by weights out of a file.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.block import go_duration
from seamark.dns.corefile.lexer import Token
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query, text_of
from seamark.dns.plugins.loadbalance.config import Config
from seamark.dns.plugins.loadbalance.weights import Weights, choose_first, parse_weights

ADDRESSES = frozenset({dns.rdatatype.A, dns.rdatatype.AAAA})
WEIGHTED = ADDRESSES | {dns.rdatatype.SRV}
"""What has to be asked for to have weights count."""
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


class Weighted:
    name = "loadbalance"

    def __init__(self, file: Token, reload: float, site: Site) -> None:
        self._file = file
        self._path = site.root / file.text
        self._reload = reload
        self._host = site.host
        self._seen: str | None = None
        self._weights: Weights = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises CorefileError for weights that cannot be read, unless the file may still come."""
        try:
            self.read()
        except OSError as error:
            if not self._reload:
                raise self._file.error(f"loadbalance: failed to open weight file {self._path}") from error
            again = go_duration(self._reload)
            self._host.log(
                f"[WARNING] plugin/loadbalance: Failed to open weight file:{self._path}. Will try again in {again}"
            )
        except ValueError as error:
            raise self._file.error(f"loadbalance: {error}") from error
        if self._reload:
            self._task = asyncio.get_running_loop().create_task(self._poll())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        if answer.message is not None and query.rdtype in WEIGHTED:
            answer.message.answer = self._arranged(answer.message.answer, answer)
            answer.message.additional = self._arranged(answer.message.additional, answer)
        return answer

    def read(self) -> None:
        """The file, if it changed. Raises OSError and ValueError; then what was there stays."""
        text = self._path.read_text(errors="replace")
        if text == self._seen:
            return
        self._seen = text
        self._weights = parse_weights(text, str(self._path))
        self._host.log(f"[INFO] plugin/loadbalance: Successfully reloaded weight file {self._path}")

    async def _poll(self) -> None:
        while True:
            await self._host.clock.sleep(self._reload)
            try:
                self.read()
            except (OSError, ValueError) as error:
                told = error if isinstance(error, ValueError) else "failed to open weight file"
                self._host.log(f"[ERROR] plugin/loadbalance: {told}")

    def _arranged(self, section: list[dns.rrset.RRset], answer: Answer) -> list[dns.rrset.RRset]:
        """Addresses stand behind everything but MX records, the chosen one in the place of the first."""
        addresses = [
            dns.rrset.from_rdata(rrset.name, rrset.ttl, rdata)
            for rrset in section
            if rrset.rdtype in ADDRESSES
            for rdata in rrset
        ]
        if not addresses:
            return section
        if len(addresses) > 1:
            answer.lasting = None  # the next one is to get another order
        named = [(text_of(each.name), each[0].address) for each in addresses]
        first = choose_first(self._weights, named, self._host.random.randrange)
        addresses[0], addresses[first] = addresses[first], addresses[0]
        others = sorted((rrset for rrset in section if rrset.rdtype not in ADDRESSES), key=_rank)
        before = [rrset for rrset in others if rrset.rdtype != dns.rdatatype.MX]
        return [*before, *addresses, *others[len(before) :]]


def make(config: Config, site: Site) -> LoadBalance | Weighted:
    return LoadBalance(config, site) if config.weights is None else Weighted(config.weights, config.reload, site)
