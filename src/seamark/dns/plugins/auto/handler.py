"""Zones of a folder's files, as they come and go."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import dns.exception
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.auto.config import Config
from seamark.dns.plugins.file.answering import Zones
from seamark.dns.plugins.file.zone import read_zone

BROKEN = (dns.exception.DNSException, OSError, UnicodeDecodeError, ValueError)
Stamp = tuple[Path, int, int]


class Auto:
    name = "auto"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._folder = site.root / config.directory.text
        self._zones = Zones(self.name, site)
        self._stamps: dict[str, Stamp] = {}
        self._task: asyncio.Task[None] | None = None
        if not self._folder.is_dir():
            site.host.log(f"[WARNING] plugin/auto: Directory does not exist: {self._folder}")

    async def start(self) -> None:
        self.look()
        if self._config.reload:
            self._task = asyncio.get_running_loop().create_task(self._poll(self._config.reload))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        apex = match_zone(self._zones.names, query.text)
        if apex is None or match_zone(self._config.zones, query.text) is None:
            return await following(query)
        return await self._zones.answer(query, following, apex, self._config.fallthrough)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        return self._zones.transfer(name)

    @property
    def notified_zones(self) -> tuple[str, ...]:
        return self._zones.names

    def look(self) -> None:
        """Takes what is new or another file, lets go of what is gone. One bad file spoils its own zone alone."""
        files = self._files()
        for origin in [name for name in self._zones.names if name not in files]:
            self._zones.remove(origin)
            self._stamps.pop(origin, None)
            self._host.log(f"[INFO] plugin/auto: Deleting zone `{origin}'")
        for origin, path in files.items():
            try:
                self._take(origin, path)
            except BROKEN as error:
                self._host.log(f"[WARNING] plugin/auto: Parse zone `{origin}': {path}: {error}")

    def _files(self) -> dict[str, Path]:
        """Of two files for one zone the first by path counts."""
        found: dict[str, Path] = {}
        for folder, folders, names in os.walk(self._folder):  # the links of a mounted ConfigMap lead to files
            folders.sort()
            for name in sorted(names):
                origin, path = self._config.origin_of(name), Path(folder, name)
                if not origin:
                    continue
                kept = found.setdefault(origin, path)
                if kept != path:
                    why = f'Multiple zone files match origin "{origin}": using "{kept}" instead of "{path}"'
                    self._host.log(f"[WARNING] plugin/auto: {why}")
        return found

    def _take(self, origin: str, path: Path) -> None:
        """Raises one of BROKEN."""
        stat = path.stat()
        stamp = (path, stat.st_mtime_ns, stat.st_size)
        if self._stamps.get(origin) == stamp:
            return
        self._stamps[origin] = stamp  # a bad file is told of once
        zone = read_zone(path, origin)
        known = self._zones.find(origin)
        if known is None:
            self._host.log(f"[INFO] plugin/auto: Inserting zone `{origin}' from: {path}")
        elif known.serial == zone.serial:
            return
        else:
            told = f'zone "{origin}" in "{path}" with {zone.serial} SOA serial'
            self._host.log(f"[INFO] plugin/file: Successfully reloaded {told}")
        self._zones.replace(origin, zone)

    async def _poll(self, interval: float) -> None:
        while True:
            await self._host.clock.sleep(interval)
            self.look()


def make(config: Config, site: Site) -> Auto:
    return Auto(config, site)
