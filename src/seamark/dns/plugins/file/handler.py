"""Zones from files: reading them anew, and answers in the form plugins share."""

from __future__ import annotations

import asyncio

import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.file.config import Config
from seamark.dns.plugins.file.zone import Found, Zone, read_zone
from seamark.dns.reply import reply_to

T = dns.rdatatype
BROKEN = (dns.exception.DNSException, OSError, UnicodeDecodeError, ValueError)
MAX_LINKS = 8


class File:
    name = "file"

    def __init__(self, config: Config, site: Site) -> None:
        self._site = site
        self._host = site.host
        self._configs: dict[str, Config] = {}
        self._zones: dict[str, Zone] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.take(config)

    def take(self, config: Config) -> None:
        """Reads the file for each zone. Raises CorefileError."""
        for zone in config.zones:
            if zone in self._configs:
                raise config.path.error(f"file: zone {zone} has a file already")
            self._configs[zone] = config
            try:
                self._read(zone)
            except BROKEN as error:
                raise config.path.error(f"file: '{config.path.text}' is not a zone file of {zone}: {error}") from error

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._poll(zone, c.reload)) for zone, c in self._configs.items() if c.reload]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        apex = match_zone(tuple(self._zones), query.text)
        if apex is None:
            return await following(query)
        if query.rdtype in (T.AXFR, T.IXFR):
            return Answer(dns.rcode.REFUSED, None, self.name)
        zone = self._zones[apex]
        found = await self._follow(query, zone)
        falls = match_zone(self._configs[apex].fallthrough or (), query.text) is not None
        if found.rcode == dns.rcode.NXDOMAIN and not found.answer and falls:
            return await following(query)
        message = reply_to(query.message, found.rcode, authoritative=not found.is_referral)
        message.answer, message.authority, message.additional = found.answer, found.authority, found.additional
        return Answer(found.rcode, message, self.name)

    async def _follow(self, query: Query, zone: Zone) -> Found:
        """Aliases to their end, inside here and outside through the own server."""
        name, chain = query.name.canonicalize(), list[dns.rrset.RRset]()
        for _ in range(MAX_LINKS):
            found = zone.find(name, query.rdtype)
            chain += found.answer
            if found.target is None:
                is_aliased = bool(chain) and not found.answer and not found.is_referral
                if is_aliased and zone.holds(name) and query.rdtype != T.NS:
                    found.authority = zone.servers  # the alias is the answer, so this is no denial (as CoreDNS)
                found.answer = chain
                return found
            name = found.target
            if not name.is_subdomain(zone.origin):
                message = await self._site.lookup(query, name, query.rdtype)
                rcode = message.rcode() if message is not None else dns.rcode.SERVFAIL
                outside = message.answer if message is not None else []
                kept = (
                    rcode if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL) else dns.rcode.NOERROR
                )
                return Found([*chain, *outside], zone.servers, rcode=kept)
        return Found([], [], rcode=dns.rcode.SERVFAIL)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        """All records, the SOA first and last; None for a zone that is not here."""
        zone = self._zones.get(name)
        return zone.transfer() if zone is not None else None

    def _read(self, zone: str) -> None:
        path = self._site.root / self._configs[zone].path.text
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if self._stamps.get(zone) == stamp:
            return
        found = read_zone(path, zone)
        self._stamps[zone] = stamp
        known = self._zones.get(zone)
        if known is None or known.serial != found.serial:
            self._zones[zone] = found
            if known is not None:
                self._host.log(f"[INFO] plugin/file: Successfully reloaded zone {zone} with {found.serial} SOA serial")
                self._tell(zone)

    @property
    def notified_zones(self) -> tuple[str, ...]:
        """Of what the plugin transfer tells others."""
        return tuple(self._zones)

    def _tell(self, zone: str) -> None:
        for _, handler in self._site.plugins:
            if hasattr(handler, "changed"):
                handler.changed(zone)

    async def _poll(self, zone: str, interval: float) -> None:
        while True:
            await self._host.clock.sleep(interval)
            try:
                self._read(zone)
            except BROKEN as error:
                self._host.log(f"[ERROR] plugin/file: zone {zone} stays as it was: {error}")


def make(config: Config, site: Site) -> File | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, File):
            handler.take(config)
            return Joined()
    return File(config, site)
