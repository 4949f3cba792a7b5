"""Zones from files: reading them anew, and answers in the form plugins share."""

from __future__ import annotations

import asyncio

import dns.exception
import dns.opcode
import dns.rcode
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.file.answering import Zones
from seamark.dns.plugins.file.config import Config
from seamark.dns.plugins.file.zone import read_zone
from seamark.dns.reply import failed

BROKEN = (dns.exception.DNSException, OSError, UnicodeDecodeError, ValueError)


class File:
    name = "file"

    def __init__(self, config: Config, site: Site) -> None:
        self._site = site
        self._host = site.host
        self._configs: dict[str, Config] = {}
        self._zones = Zones(self.name, site)
        self._stamps: dict[str, tuple[int, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.take(config)

    def take(self, config: Config) -> None:
        """Reads the file for each zone. One that is not there yet is read once it is. Raises CorefileError."""
        for zone in config.zones:
            if zone in self._configs:
                raise config.path.error(f"file: zone {zone} has a file already")
            self._configs[zone] = config
            try:
                self._read(zone)
            except FileNotFoundError as error:
                if not config.reload:
                    raise config.path.error(f"file: '{config.path.text}': {error}") from error
                self._host.log(f'[WARNING] plugin/file: Failed to open "{error}": trying again in {config.reload:g}s')
            except BROKEN as error:
                raise config.path.error(f"file: '{config.path.text}' is not a zone file of {zone}: {error}") from error

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._poll(zone, c.reload)) for zone, c in self._configs.items() if c.reload]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        apex = match_zone(tuple(self._configs), query.text)
        if apex is None:
            return await following(query)
        if query.message.opcode() == dns.opcode.NOTIFY:
            self._host.log(f"[INFO] plugin/file: Dropping notify from {query.client} for {apex}")
            return Answer(dns.rcode.NOERROR, None, self.name, dropped=True)
        if self._zones.find(apex) is None:
            return failed(self.name, f"zone {apex} has not been read yet")
        return await self._zones.answer(query, following, apex, self._configs[apex].fallthrough)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        return self._zones.transfer(name)

    @property
    def notified_zones(self) -> tuple[str, ...]:
        """Of what the plugin transfer tells others."""
        return self._zones.names

    def _read(self, zone: str) -> None:
        """Raises one of BROKEN."""
        config = self._configs[zone]
        path = self._site.root / config.path.text
        stat = path.stat()
        stamp = (stat.st_mtime_ns, 0 if config.by_mtime else stat.st_size)
        if self._stamps.get(zone) == stamp:
            return
        found = read_zone(path, zone)
        self._stamps[zone] = stamp
        known = self._zones.find(zone)
        if known is not None and known.serial == found.serial and not config.by_mtime:
            return
        if known is not None:
            self._host.log(
                f'[INFO] plugin/file: Successfully reloaded zone "{zone}" in "{path}" with {found.serial} SOA serial'
            )
        self._zones.replace(zone, found, is_news=config.by_mtime)

    async def _poll(self, zone: str, interval: float) -> None:
        path = self._site.root / self._configs[zone].path.text
        while True:
            await self._host.clock.sleep(interval)
            try:
                self._read(zone)
            except OSError as error:
                self._host.log(f'[ERROR] plugin/file: Failed to open zone "{zone}" in "{path}": {error}')
            except BROKEN as error:
                self._host.log(f'[ERROR] plugin/file: Parsing zone "{zone}": {error}')


def make(config: Config, site: Site) -> File | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, File):
            handler.take(config)
            return Joined()
    return File(config, site)
