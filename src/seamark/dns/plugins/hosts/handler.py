"""Answers from a hosts file and from entries in the Corefile, both together.

A name that is not there is not NXDOMAIN but SERVFAIL without ``fallthrough``: there is no SOA to deny with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.name
import dns.rdata
import dns.rdatatype

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.hosts.config import Config
from seamark.dns.plugins.hosts.entries import Entries, parse_entries
from seamark.dns.reply import address_rdata, answered, failed, rrset_of
from seamark.dns.reverse import address_of

TYPES = {dns.rdatatype.A: "A", dns.rdatatype.AAAA: "AAAA"}


class Hosts:
    name = "hosts"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._path = site.root / config.path
        self._inline = parse_entries(config.inline, reverse=config.reverse)
        self._file = Entries()
        self._stamp: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if not self._path.exists():
            self._host.log(f"[WARNING] plugin/hosts: File does not exist: {self._path}")
        self.read()
        if self._config.reload:
            self._task = asyncio.get_running_loop().create_task(self._poll())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        name = query.text
        inside = match_zone(self._config.zones, name) is not None
        if query.rdtype == dns.rdatatype.PTR:
            names = self._names(name)
            if names:
                return self._answer(query, [_ptr(found) for found in names])
        if not inside:
            return await following(query)
        if query.rdtype == dns.rdatatype.PTR:
            return await following(query)
        return await self._forward_lookup(query, name, following)

    async def _forward_lookup(self, query: Query, name: str, following: Next) -> Answer:
        falls = match_zone(self._config.fallthrough or (), name) is not None
        rdtype = TYPES.get(query.rdtype)
        if rdtype is None and self._config.fallthrough_unsupported and falls:
            return await following(query)
        types = self._types(name)
        if types is None:
            missing = failed(self.name, f"no entry for {name} and no fallthrough", expected=True)
            return await following(query) if falls else missing
        return self._answer(query, [address_rdata(rdtype, found) for found in types.get(rdtype, ())] if rdtype else [])

    def read(self) -> None:
        """The file, if it changed."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            text = self._path.read_text(errors="replace")
        except OSError:
            return  # missing or unreadable: what was read before stays
        self._file = parse_entries(text.splitlines(), reverse=self._config.reverse)
        self._stamp = stamp
        metrics = self._host.metrics
        metrics.hosts_entries.labels(str(self._path)).set(len(self._file) + len(self._inline))
        metrics.hosts_reloaded.set(stat.st_mtime)

    async def _poll(self) -> None:
        while True:
            await self._host.clock.sleep(self._config.reload)
            self.read()

    def _types(self, name: str) -> dict[str, list[str]] | None:
        found = [types for types in (self._inline.find(name), self._file.find(name)) if types is not None]
        if not found:
            return None
        return {rdtype: [a for types in found for a in types.get(rdtype, ())] for rdtype in TYPES.values()}

    def _names(self, name: str) -> list[str]:
        address = address_of(name)
        if address is None:
            return []
        return [*self._inline.names.get(address, ()), *self._file.names.get(address, ())]

    def _answer(self, query: Query, rdatas: Sequence[dns.rdata.Rdata]) -> Answer:
        owner = query.name.canonicalize() if self._host.as_coredns else query.name
        return answered(query, self.name, answer=[rrset_of(owner, self._config.ttl, rdatas)] if rdatas else [])


def _ptr(name: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", "PTR", name)


def make(config: Config, site: Site) -> Hosts:
    return Hosts(config, site)
