"""Zones to whom may have them: AXFR, and IXFR as far as "nothing changed"; and telling them of changes (NOTIFY).

Who is told are the addresses of ``to``; of what, the zones of plugins that say which they tell of (``notified_zones``):
once at the start, then whenever such a plugin calls ``changed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.forward.config import Health, Transport
from seamark.dns.plugins.forward.upstream import Upstream, UpstreamError
from seamark.dns.plugins.transfer.config import EVERYBODY, Config
from seamark.dns.reply import reply_to

T = dns.rdatatype
TRIES = 3
UNWATCHED = Health(max_fails=0)
BATCH = 500
"""Records in one message: names have 255 octets and addresses follow, so it stays below 64 KiB for all but long TXT,
which count for more."""


class Transfer:
    name = "transfer"

    def __init__(self, config: Config, site: Site) -> None:
        self.rules = [config]
        self._site = site
        self._telling: set[asyncio.Task[None]] = set()
        self._is_serving = False

    def serving(self) -> None:
        """Called once queries arrive: whoever is told now can ask."""
        self._is_serving = True
        for _, handler in self._site.plugins:
            for zone in getattr(handler, "notified_zones", ()):
                self.changed(zone)

    def changed(self, zone: str) -> None:
        """Tells that the zone is another one now, in the background. What happens before queries come is told then."""
        rule = self._rule(zone) if self._is_serving else None
        for host, port in rule.notified if rule is not None else ():
            task = asyncio.get_running_loop().create_task(self._tell(zone, host, port, rule.source if rule else ""))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def stop(self) -> None:
        for task in self._telling:
            task.cancel()

    async def _tell(self, zone: str, host: str, port: int, source: str) -> None:
        """Up to three times; a failure is told in the log alone."""
        message = dns.message.make_query(zone, T.SOA, flags=dns.flags.AA)
        message.set_opcode(dns.opcode.NOTIFY)
        to = Upstream(host, port, own=self._site.host, transport=Transport(source_address=source), health=UNWATCHED)
        why = ""
        try:
            for _ in range(TRIES):
                try:
                    rcode = (await to.ask(message, "udp")).rcode()
                    if rcode == dns.rcode.NOERROR:
                        return
                    why = f'rcode was "{dns.rcode.to_text(rcode)}"'
                except UpstreamError as error:
                    why = f'"{error}"'
        finally:
            await to.close()
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        told = f'notify for zone "{zone}" was not accepted by "{where}": {why}'
        self._site.host.log(f"[WARNING] plugin/file: Failed sending notifies: {told}")  # whose line it is in CoreDNS

    async def serve(self, query: Query, following: Next) -> Answer:
        if query.rdtype not in (T.AXFR, T.IXFR):
            return await following(query)
        if query.protocol != "tcp":
            return Answer(dns.rcode.REFUSED, None, self.name)
        rule = self._rule(query.text)
        if rule is None:
            return await following(query)
        if not rule.to & {EVERYBODY, query.client}:
            return Answer(dns.rcode.REFUSED, reply_to(query.message, dns.rcode.REFUSED), self.name)
        serial = _serial(query.message) if query.rdtype == T.IXFR else None
        if query.rdtype == T.IXFR and serial is None:
            return Answer(dns.rcode.SERVFAIL, None, self.name)
        for _, handler in self._site.plugins:
            records = handler.transfer(query.text) if hasattr(handler, "transfer") else None
            if records is not None:
                return self._reply(query, records[:1] if records[0][0].serial == serial else records)
        return await following(query)

    def _rule(self, name: str) -> Config | None:
        """The one with the longest zone around the name."""
        found = [(zone, rule) for rule in self.rules if (zone := match_zone(rule.zones, name)) is not None]
        return max(found, key=lambda pair: len(pair[0]))[1] if found else None

    def _reply(self, query: Query, records: list[dns.rrset.RRset]) -> Answer:
        messages = []
        for batch in _batches(records):
            message = reply_to(query.message, authoritative=True)
            message.answer = batch
            messages.append(message)
        count = sum(map(len, records))
        what = (
            f"Outgoing transfer of {count} records of"
            if count > 1
            else "Outgoing noop, incremental transfer for up to date"
        )
        whom = f'zone "{query.name}" to {query.client} for {records[0][0].serial} SOA serial'
        self._site.host.log(f"[INFO] plugin/transfer: {what} {whom}")
        return Answer(dns.rcode.NOERROR, messages[0], self.name, more=tuple(messages[1:]))


def _batches(records: list[dns.rrset.RRset]) -> Iterator[list[dns.rrset.RRset]]:
    batch: list[dns.rrset.RRset] = []
    weight = 0
    for rrset in records:
        size = sum(1 + len(rdata.to_text()) // 100 for rdata in rrset)
        if batch and weight + size > BATCH:
            yield batch
            batch, weight = [], 0
        batch.append(rrset)
        weight += size
    yield batch


def _serial(message: dns.message.Message) -> int | None:
    found = [rrset for rrset in message.authority if rrset.rdtype == T.SOA]
    return int(found[0][0].serial) if len(message.authority) == 1 and found else None


def make(config: Config, site: Site) -> Transfer | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, Transfer):
            handler.rules.append(config)
            return Joined()
    return Transfer(config, site)
