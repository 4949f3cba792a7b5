"""Zones transferred from primaries, as fresh as their SOA asks (RFC 1034 §4.3.5) and as primaries tell (RFC 1996)."""

from __future__ import annotations

import asyncio

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.xfr
import dns.zone

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.file.answering import Zones
from seamark.dns.plugins.file.zone import Zone, make_zone
from seamark.dns.plugins.secondary.config import Config
from seamark.dns.reply import failed, reply_to

FIRST_RETRY = 10.0
"""Seconds between attempts to get a zone that was never had."""
REFRESH_JITTER, RETRY_JITTER = 5.0, 2.0
TIMEOUT = 10.0
BROKEN = (dns.exception.DNSException, OSError, EOFError, ValueError, TimeoutError)
HALF = 2**31


class _Kept:
    """One zone: its configuration, and when it is looked after."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.wanted = asyncio.Event()
        """A primary says that there is something new."""
        self.expired = False


class Secondary:
    name = "secondary"

    def __init__(self, config: Config, site: Site) -> None:
        self._host = site.host
        self._zones = Zones(self.name, site)
        self._kept: dict[str, _Kept] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.take(config)

    def take(self, config: Config) -> None:
        for zone in config.zones:
            self._kept.setdefault(zone, _Kept(config))

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep(zone, kept)) for zone, kept in self._kept.items()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        apex = match_zone(tuple(self._kept), query.text)
        if apex is None:
            return await following(query)
        kept = self._kept[apex]
        if query.message.opcode() == dns.opcode.NOTIFY:
            return self._notified(query, kept)
        if self._zones.find(apex) is None:
            return failed(self.name, f"zone {apex} has not been transferred yet")
        if kept.expired:
            return failed(self.name, f"zone {apex} is expired")
        return await self._zones.answer(query, following, apex, kept.config.fallthrough)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        return self._zones.transfer(name)

    @property
    def notified_zones(self) -> tuple[str, ...]:
        return self._zones.names

    def _notified(self, query: Query, kept: _Kept) -> Answer:
        if query.client not in {host for host, _ in kept.config.primaries}:
            return Answer(dns.rcode.REFUSED, None, self.name)
        self._host.log(f"[INFO] plugin/secondary: Notify from {query.client} for {query.text}: checking transfer")
        kept.wanted.set()
        return Answer(dns.rcode.NOERROR, reply_to(query.message, authoritative=True), self.name)

    async def _keep(self, name: str, kept: _Kept) -> None:
        """For as long as the server runs."""
        clock, spread = self._host.clock, self._host.random.uniform
        while not await self._refresh(name, kept.config):
            await self._wait(kept, FIRST_RETRY)
        while (zone := self._zones.find(name)) is not None:
            refresh, retry, expire = times_of(zone)
            fresh = clock.monotonic()
            await self._wait(kept, refresh + spread(0, REFRESH_JITTER))
            while not await self._refresh(name, kept.config):
                kept.expired = clock.monotonic() - fresh >= expire
                await self._wait(kept, retry + spread(0, RETRY_JITTER))
            kept.expired = False

    async def _wait(self, kept: _Kept, seconds: float) -> None:
        """That long, or until a primary has news."""
        alarm = asyncio.ensure_future(self._host.clock.sleep(seconds))
        news = asyncio.ensure_future(kept.wanted.wait())
        try:
            await asyncio.wait((alarm, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            news.cancel()
        kept.wanted.clear()

    async def _refresh(self, name: str, config: Config) -> bool:
        """Whether what is here is what the primary has, now at the latest."""
        zone = self._zones.find(name)
        serial = await self._serial(name, config)
        if serial is None:
            return False
        if zone is not None and not is_newer(serial, zone.serial):
            return True
        return await self._fetch(name, config)

    async def _serial(self, name: str, config: Config) -> int | None:
        for host, port in config.primaries:
            question = dns.message.make_query(name, dns.rdatatype.SOA)
            try:
                reply = await dns.asyncquery.tcp(question, host, timeout=TIMEOUT, port=port)
            except BROKEN as error:
                self._told(name, host, error)
                continue
            for rrset in reply.answer:
                if rrset.rdtype == dns.rdatatype.SOA:
                    return int(rrset[0].serial)
        return None

    async def _fetch(self, name: str, config: Config) -> bool:
        for host, port in config.primaries:
            try:
                zone = await transfer_in(name, host, port)
            except BROKEN as error:
                self._told(name, host, error)
                continue
            self._zones.replace(name, zone)
            self._host.log(f"[INFO] plugin/secondary: Transferred: {name} from {host}:{port}")
            return True
        return False

    def _told(self, name: str, host: str, error: Exception) -> None:
        why = str(error) or type(error).__name__
        self._host.log(f'[ERROR] plugin/secondary: Failed to transfer `{name}\' from "{host}": {why}')


async def transfer_in(name: str, host: str, port: int) -> Zone:
    """A whole zone (RFC 5936). Raises one of BROKEN."""
    found = dns.zone.Zone(dns.name.from_text(name), relativize=False)
    await dns.asyncquery.inbound_xfr(
        host, found, dns.xfr.make_query(found)[0], port=port, timeout=TIMEOUT, lifetime=TIMEOUT * 6
    )
    return make_zone(found, name)


def times_of(zone: Zone) -> tuple[float, float, float]:
    """Refresh, retry and expire of the SOA, in seconds; none is shorter than one."""
    soa = zone.transfer()[0][0]
    return max(1.0, soa.refresh), max(1.0, soa.retry), max(1.0, soa.expire)


def is_newer(serial: int, than: int) -> bool:
    """RFC 1982."""
    return serial != than and (serial - than) % (2 * HALF) < HALF


def make(config: Config, site: Site) -> Secondary | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, Secondary):
            handler.take(config)
            return Joined()
    return Secondary(config, site)
