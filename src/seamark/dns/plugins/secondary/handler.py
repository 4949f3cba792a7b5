"""Zones transferred from primaries, as fresh as their SOA asks (RFC 1034 §4.3.5) and as primaries tell (RFC 1996).

Log lines of transfers are CoreDNS's, which has them from its plugin file.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import dns.opcode
import dns.rcode
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.file.answering import Zones
from seamark.dns.plugins.file.zone import Zone
from seamark.dns.plugins.secondary.catalog import (
    Action,
    Catalog,
    Owned,
    What,
    parse_catalog,
    plan_members,
    select_members,
)
from seamark.dns.plugins.secondary.config import Config
from seamark.dns.plugins.secondary.inbound import Primaries, is_newer, times_of
from seamark.dns.reply import failed, reply_to

FIRST_RETRY, LONGEST_RETRY = 0.25, 10.0
"""Seconds between attempts to get a zone that was never had: twice as long each time."""
REFRESH_JITTER, RETRY_JITTER = 5.0, 2.0


class _Kept:
    """One zone: its configuration, who brought it (None = the Corefile), and when it is looked after."""

    def __init__(self, config: Config, owned: Owned | None, primaries: Primaries) -> None:
        self.config = config
        self.owned = owned
        self.primaries = primaries
        self.wanted = asyncio.Event()
        """A primary says that there is something new."""
        self.teller = ""
        """Which one."""
        self.expired = False
        self.task: asyncio.Task[None] | None = None


class Secondary:
    name = "secondary"

    def __init__(self, config: Config, site: Site) -> None:
        self._host = site.host
        self._zones = Zones(self.name, site)
        self._kept: dict[str, _Kept] = {}
        self._catalogs: dict[str, Catalog] = {}
        self.take(config)

    def take(self, config: Config) -> None:
        for zone in config.zones:
            if zone not in self._kept:
                self._add(zone, config, None)

    async def start(self) -> None:
        for zone, kept in self._kept.items():
            self._look_after(zone, kept)

    async def stop(self) -> None:
        tasks = [kept.task for kept in self._kept.values() if kept.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, query: Query, following: Next) -> Answer:
        apex = match_zone(tuple(self._kept), query.text)
        if apex is None:
            return await following(query)
        kept = self._kept[apex]
        if query.message.opcode() == dns.opcode.NOTIFY:
            return self._notified(query, apex, kept)
        if self._zones.find(apex) is None:
            return failed(self.name, f"zone {apex} has not been transferred yet")
        if kept.expired:
            self._host.log(f"[ERROR] plugin/file: Zone {apex} is expired")
            return failed(self.name, f"zone {apex} is expired")
        return await self._zones.answer(query, following, apex, kept.config.fallthrough)

    def transfer(self, name: str) -> list[dns.rrset.RRset] | None:
        return self._zones.transfer(name)

    @property
    def notified_zones(self) -> tuple[str, ...]:
        return self._zones.names

    def _notified(self, query: Query, apex: str, kept: _Kept) -> Answer:
        """Strangers get no answer (RFC 1996 §3.10)."""
        if query.client not in {host for host, _ in kept.config.primaries}:
            self._host.log(f"[INFO] plugin/file: Dropping notify from {query.client} for {apex}")
            return Answer(dns.rcode.NOERROR, None, self.name, dropped=True)
        self._host.log(f"[INFO] plugin/file: Notify from {query.client} for {apex}: checking transfer")
        kept.teller = query.client
        kept.wanted.set()
        return Answer(dns.rcode.NOERROR, reply_to(query.message, authoritative=True), self.name)

    def _add(self, name: str, config: Config, owned: Owned | None) -> _Kept:
        kept = self._kept[name] = _Kept(config, owned, Primaries(config.primaries, self._host.log))
        return kept

    def _look_after(self, name: str, kept: _Kept) -> None:
        kept.task = asyncio.get_running_loop().create_task(self._keep(name, kept))

    async def _keep(self, name: str, kept: _Kept) -> None:
        """For as long as the server runs, or its catalog has the zone."""
        clock, spread, pause = self._host.clock, self._host.random.uniform, FIRST_RETRY
        while not await self._fetch(name, kept):
            self._host.log(
                f"[WARNING] plugin/secondary: All '{name}' masters failed to transfer, retrying in {pause:g}s: "
                f"{kept.primaries.failure}"
            )
            await self._wait(kept, pause)
            pause = min(2 * pause, LONGEST_RETRY)
        while (zone := self._zones.find(name)) is not None:
            refresh, retry, expire = times_of(zone)
            fresh = clock.monotonic()
            await self._wait(kept, refresh + spread(0, REFRESH_JITTER))
            while not await self._refresh(name, kept):
                kept.expired = clock.monotonic() - fresh >= expire
                await self._wait(kept, retry + spread(0, RETRY_JITTER))
            kept.expired = False

    async def _wait(self, kept: _Kept, seconds: float) -> None:
        """That long, or until a primary has news."""
        alarm = asyncio.ensure_future(self._host.clock.sleep(seconds))
        news = asyncio.ensure_future(kept.wanted.wait())
        kept.teller = "" if not kept.wanted.is_set() else kept.teller
        try:
            await asyncio.wait((alarm, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            news.cancel()
        kept.wanted.clear()

    async def _refresh(self, name: str, kept: _Kept) -> bool:
        """Whether what is here is what the primary has, now at the latest."""
        zone = self._zones.find(name)
        serial = await kept.primaries.serial(name)
        if serial is None:
            self._host.log(f"[WARNING] plugin/file: Failed refresh check {kept.primaries.failure}")
            return False
        if zone is not None and not is_newer(serial, zone.serial):
            if kept.teller:
                told = f"Notify from {kept.teller} for {name}: no SOA serial increase seen"
                self._host.log(f"[INFO] plugin/file: {told}")
            return True
        return await self._fetch(name, kept)

    async def _fetch(self, name: str, kept: _Kept) -> bool:
        is_catalog = kept.config.catalog is not None
        zone = await kept.primaries.transfer(name, partial(_check, name) if is_catalog else None)
        if zone is None:
            return False
        self._zones.replace(name, zone)
        if is_catalog:
            self._apply(name, kept.config, _members(name, zone))
        return True

    def _apply(self, origin: str, config: Config, members: Catalog) -> None:
        """What the catalog has changed."""
        self._catalogs[origin] = members
        selected = select_members(members, config.catalog or ())
        taken = {zone: kept.owned for zone, kept in self._kept.items()}
        for action in plan_members(origin, selected, taken, self._catalogs):
            self._host.log(render_action(action))
            if action.what is What.CLASH:
                continue
            self._forget(action.zone, keeps_data=action.what is What.MIGRATE)
            if action.what is not What.REMOVE:
                member = replace(config, zones=(action.zone,), catalog=None)
                self._look_after(action.zone, self._add(action.zone, member, action.owned))
        if rejected := len(members) - len(selected):
            self._host.log(
                f"[WARNING] plugin/secondary: Skipped {rejected} member zones from catalog {origin}: "
                "outside configured member zones"
            )
        self._host.log(f"[INFO] plugin/secondary: Parsed catalog zone {origin} with {len(members)} member zones")

    def _forget(self, name: str, *, keeps_data: bool) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None and kept.task is not None:
            kept.task.cancel()
        if not keeps_data:
            self._zones.remove(name)


def _members(name: str, zone: Zone) -> Catalog:
    """Raises ValueError."""
    return parse_catalog(name, zone.transfer()[:-1])


def _check(name: str, zone: Zone) -> None:
    """Raises ValueError for a catalog that is broken, which is as if it had not come."""
    _members(name, zone)


def render_action(action: Action) -> str:
    """The log line, in CoreDNS's words."""
    zone, origin, identity, before = action.zone, action.owned.catalog, action.owned.identity, action.before
    moved = f"Migrated catalog member zone {zone} from catalog {before.catalog} to {origin}" if before else ""
    was = before.identity if before else ""
    level, told = {
        What.ADD: ("INFO", f"Added catalog member zone {zone} from catalog {origin}"),
        What.RESET: (
            "INFO",
            f"Reset catalog member zone {zone} from {origin} after member ID changed from {was} to {identity}",
        ),
        What.MIGRATE: ("INFO", f"{moved}, preserving state for member ID {identity}"),
        What.TAKE: (
            "INFO",
            f"{moved} with state reset after member identity changed from {was} to {identity}",
        ),
        What.CLASH: ("WARNING", f"Skipping catalog member zone {zone} from {origin}: zone already exists"),
        What.REMOVE: ("INFO", f"Removed catalog member zone {zone} from catalog {origin}"),
    }[action.what]
    return f"[{level}] plugin/secondary: {told}"


def make(config: Config, site: Site) -> Secondary | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, Secondary):
            handler.take(config)
            return Joined()
    return Secondary(config, site)
