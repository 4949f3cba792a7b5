"""Answers for Services, endpoints and pods out of the DNS table: the Kubernetes DNS specification, as CoreDNS has it.

NXDOMAIN and NODATA carry the SOA of the matched zone; ``fallthrough`` applies to NXDOMAIN alone. Before the first
complete list a name that is not found is SERVFAIL, never NXDOMAIN: nobody may take "not yet" for "no".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import dns.edns
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from seamark.client.client import Client
from seamark.compile.dnsrecords import NODATA
from seamark.compile.dnstable import DnsOptions, DnsTable, NameRecords
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query, text_of
from seamark.dns.plugins.kubernetes.config import Config
from seamark.dns.plugins.kubernetes.meaning import describe
from seamark.dns.plugins.kubernetes.reasons import add_reasons
from seamark.dns.plugins.kubernetes.records import (
    additional_of,
    name_servers,
    origins_of,
    rdata_of,
    rrset_at,
    soa,
    version,
)
from seamark.dns.plugins.kubernetes.servers import find_servers
from seamark.dns.plugins.kubernetes.transfer import transferred
from seamark.dns.plugins.kubernetes.wasted import WastedSearches
from seamark.dns.plugins.kubernetes.watching import Watching, open_client
from seamark.dns.reply import address_rdata, answered, rrset_of
from seamark.dns.reverse import address_of, is_reverse_name
from seamark.machinery.clock import format_time
from seamark.model.meta import Provenance
from seamark.model.pod import Pod

T = dns.rdatatype
Section = list[dns.rrset.RRset]
MAX_ALIASES = 10
MAX_REMEMBERED = 8192
STALE_PATIENCE = 0.5  # seconds that the API server gets at the start where a snapshot can answer
SHALLOW = ((), ("svc",), ("pod",))


@dataclass(slots=True)
class Found:
    """What a question comes to. ``exists`` False = NXDOMAIN; nothing found at an existing name = NODATA.

    ``lasting`` = it depends on the table alone, so it may be given again until the table changes.
    """

    exists: bool
    answer: Section = field(default_factory=list)
    additional: Section = field(default_factory=list)
    lasting: bool = True
    origins: tuple[Provenance, ...] = ()


@dataclass(slots=True)
class Asked:
    """A question relative to the zone it matched: ``zone`` as spelled, ``labels`` lower-case."""

    query: Query
    text: str
    zone: dns.name.Name
    labels: tuple[str, ...]


MISSING = Found(exists=False)
EMPTY = Found(exists=True)


class Kubernetes:
    name = "kubernetes"

    def __init__(self, config: Config, site: Site, client: Client) -> None:
        self.table = DnsTable(config.options)
        self.client = client
        self.zones = config.zones
        self._config = config
        self._site = site
        self._host = site.host
        self._primary = dns.name.from_text(config.primary)
        self._depths = {zone: len(dns.name.from_text(zone).labels) for zone in config.zones}
        self.imports = DnsTable(_import_options(config)) if config.multicluster else None
        self._import_zones = frozenset(dns.name.from_text(zone) for zone in config.multicluster)
        self._watching = Watching(config, client, site.host, self.table, self.imports)
        self._wasted = WastedSearches(site.host.metrics, config.primary)
        self._own: tuple[str, ...] = ()
        self._remembered: dict[tuple[tuple[bytes, ...], int], Found] = {}
        self._remembered_version = -1

    # life

    async def start(self) -> None:
        """Waits for the first complete lists, up to ``startup_timeout``."""
        for warning in self._config.warnings:
            self._host.log(f"[WARNING] plugin/kubernetes: {warning}")
        self._own = () if self._site.bind else self._host.addresses()
        self._watching.start()
        patience = self._config.startup_timeout
        if not await self._synced_within(min(patience, STALE_PATIENCE)) and not self._watching.stale:
            self._host.log("[INFO] plugin/kubernetes: waiting for Kubernetes API before starting server")
            await self._synced_within(patience - STALE_PATIENCE)
        if not self.ready():
            told = f"; answers are those of {self._stale_since}" if self._watching.stale else ""
            self._host.log(f"[WARNING] plugin/kubernetes: starting server with unsynced Kubernetes API{told}")

    async def _synced_within(self, seconds: float) -> bool:
        waiting = asyncio.ensure_future(self._watching.wait_synced())
        alarm = asyncio.ensure_future(self._host.clock.sleep(max(seconds, 0)))
        try:
            await asyncio.wait((waiting, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            waiting.cancel()
        return self.ready()

    async def stop(self) -> None:
        await self._watching.stop()

    def ready(self) -> bool:
        return self._watching.synced

    def why_not_ready(self) -> str:
        """For the plugin ready: what is served meanwhile."""
        return f"stale, as of {self._stale_since}" if self._watching.stale else ""

    async def visible(self, revision: int, seconds: float) -> bool:
        """Whether that revision of the registry is in the answers within that time (plugin health)."""
        return await self._watching.visible.wait(revision, seconds)

    def pod_at(self, address: str) -> Pod | None:
        """The pod with that address (``pods verified``)."""
        return self._watching.pod_at(address)

    @property
    def _stale_since(self) -> str:
        return format_time(self._watching.saved)

    def table_version(self, name: str) -> int:
        """For caches in front: the state of the table behind ``name``, 0 outside its zones."""
        return self._version if match_zone(self._config.zones, name) is not None else 0

    @property
    def _version(self) -> int:
        return self.table.version + (self.imports.version if self.imports is not None else 0)

    def _table(self, zone: dns.name.Name) -> DnsTable:
        return self.imports if self.imports is not None and zone in self._import_zones else self.table

    @property
    def knows_pods(self) -> bool:
        return self._config.options.pods == "verified"

    def search_list(self, client: str) -> tuple[str, ...]:
        """What the pod at that address searches; empty for any other client (plugin autopath)."""
        pod = self.table.pod_at(client)
        zone = self._config.primary
        return () if pod is None else (f"{pod.namespace}.svc.{zone}", f"svc.{zone}", zone)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """Those of this server, none where it is bound to some."""
        return self._own

    def transfer(self, name: str) -> Section | None:
        """Every record of a zone, the SOA first and last; None for a zone that is not here (plugin transfer)."""
        zone = dns.name.from_text(name)
        below = self._host.as_coredns and match_zone(self._config.zones, name) is not None
        if name not in self._config.zones and not below:
            return None
        apex = self._name_servers(zone)
        found = transferred(self._table(zone), zone, self._config.ttl)
        first = self._soa(zone)
        servers = [rrset_of(rrset.name, 0, rrset) for rrset in apex.additional]  # with no TTL here, as CoreDNS
        return [first, *apex.answer, *servers, *found, first]

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        """What a name means, for the plugin metadata."""
        return describe(query, self._config, self.table)

    # answers

    async def serve(self, query: Query, following: Next) -> Answer:
        text = query.text
        matched = match_zone(self._config.zones, text)
        if matched is None:
            return await following(query)
        if query.rdtype in (T.AXFR, T.IXFR):
            return Answer(dns.rcode.REFUSED)
        depth = self._depths[matched]
        labels = query.name.labels
        zone = dns.name.Name(labels[len(labels) - depth :])
        below = tuple(label.decode("latin-1").lower() for label in labels[: len(labels) - depth])
        found = await self._recall(Asked(query, text, zone, below))
        if found.exists:
            authority = [] if found.answer else [self._soa(zone)]
            answer, additional = list(found.answer), list(found.additional)
            given = answered(query, self.name, answer=answer, authority=authority, additional=additional)
            self._say_why(given, query, zone, below)
            given.lasting = self._until_changed() if found.lasting else None
            given.origins = found.origins
            return given
        if match_zone(self._config.fallthrough or (), text) is not None:
            return await following(query)
        known = self.ready() or self._watching.stale
        rcode = dns.rcode.NXDOMAIN if known else dns.rcode.SERVFAIL
        denied = answered(query, self.name, authority=[self._soa(zone)], rcode=rcode)
        self._say_why(denied, query, zone, below)
        denied.lasting = self._until_changed() if known else None
        self.again(query, denied)
        return denied

    def again(self, query: Query, answer: Answer) -> None:
        """Counts what was denied, also where that is known without asking here."""
        if answer.rcode == dns.rcode.NXDOMAIN:
            self._wasted.count(self.table.pod_at(query.client), query.text)

    def _say_why(self, given: Answer, query: Query, zone: dns.name.Name, below: tuple[str, ...]) -> None:
        if given.message is not None and self._config.extended_errors and not self._host.as_coredns:
            since = self._stale_since if self._watching.stale else ""
            add_reasons(given.message, query, self._table(zone), below, ready=self.ready(), stale_since=since)

    def _until_changed(self) -> Callable[[], bool]:
        version = self._version
        return lambda: self._version == version

    async def _recall(self, asked: Asked) -> Found:
        """The answer of the last time, if the table has not changed since."""
        if self._remembered_version != self._version or len(self._remembered) > MAX_REMEMBERED:
            self._remembered.clear()
            self._remembered_version = self._version
        key = (asked.query.name.labels, int(asked.query.rdtype))
        found = self._remembered.get(key)
        if found is None:
            found = await self._find(asked)
            if found.lasting and found.exists and self._remembered_version == self._version:
                self._remembered[key] = found
        return found

    async def _find(self, asked: Asked) -> Found:
        rdtype = asked.query.rdtype
        if rdtype == T.SOA:
            return Found(True, [self._soa(asked.zone)], lasting=False) if not asked.labels else EMPTY
        if self._is_misspelled(asked):
            return EMPTY if not asked.labels else MISSING
        if rdtype == T.NS and not asked.labels:
            return self._name_servers(asked.query.name, zone=asked.zone)
        if rdtype == T.TXT:
            return self._text(asked)
        if rdtype == T.PTR and (address := address_of(asked.text)) is not None:
            records = self.table.reverse(address)
            found = rrset_at(asked.query.name, self._config.ttl, records, self._primary)
            return Found(True, found, origins=origins_of(records)) if found else MISSING
        if asked.labels == ("ns", "dns") and rdtype != T.PTR:
            return self._own_name(asked)
        records_here = self._records(asked.labels, asked.text, asked.zone)
        if records_here is None:
            return MISSING
        if rdtype in (T.A, T.AAAA) and "CNAME" in records_here.answers:
            return await self._alias(asked, records_here)
        return self._plain(asked, records_here)

    def _is_misspelled(self, asked: Asked) -> bool:
        """CoreDNS knows the names of the zone's servers in lower case alone."""
        own = (asked.query.rdtype == T.NS and not asked.labels) or asked.labels == ("ns", "dns")
        return self._host.as_coredns and own and asked.query.name.to_text() != asked.text

    def _records(self, labels: tuple[str, ...], text: str, zone: dns.name.Name) -> NameRecords | None:
        """Reverse zones hold no Services, whatever their names look like."""
        if is_reverse_name(text) and labels not in SHALLOW:
            return None
        return self._table(zone).find(labels)

    def _plain(self, asked: Asked, here: NameRecords) -> Found:
        rdtype = dns.rdatatype.to_text(asked.query.rdtype)
        records = here.answers.get(rdtype, ()) if rdtype in ("A", "AAAA", "SRV", "CNAME") else ()
        answer = rrset_at(asked.query.name, self._config.ttl, records, asked.zone)
        additional = additional_of(here.additional, self._config.ttl, asked.zone) if rdtype == "SRV" and answer else []
        return Found(True, answer, additional, origins=origins_of(records))

    def _text(self, asked: Asked) -> Found:
        """Only the version is text; a name without records is NXDOMAIN for TXT, even an apex (as CoreDNS)."""
        if asked.labels == ("dns-version",):
            return Found(True, [version(asked.query.name)])
        here = self._records(asked.labels, asked.text, asked.zone)
        return EMPTY if here is not None and here is not NODATA else MISSING

    async def _alias(self, asked: Asked, here: NameRecords) -> Found:
        """ExternalName: follows targets in the zone here, asks the own server for one outside.

        A target in the zone without such an address is NODATA, and the alias is not shown (as CoreDNS).
        """
        rdtype = asked.query.rdtype
        chain: Section = []
        origins: list[Provenance] = []
        owner, records = asked.query.name, here
        seen = {asked.text}
        while "CNAME" in records.answers:
            link = rrset_of(owner, self._config.ttl, [rdata_of(records.answers["CNAME"][0], asked.zone)])
            chain.append(link)
            origins += origins_of(records.answers["CNAME"])
            owner = link[0].target
            text = text_of(owner)
            if not owner.is_subdomain(asked.zone):
                message = await self._site.lookup(asked.query, owner, rdtype)
                if message is None:
                    return Found(True, lasting=False)
                return Found(True, [*chain, *message.answer], lasting=False, origins=tuple(origins))
            labels = tuple(label.decode("latin-1").lower() for label in owner.relativize(asked.zone).labels)
            found = None if text in seen or len(chain) > MAX_ALIASES else self._records(labels, text, asked.zone)
            if found is None:
                return EMPTY
            seen.add(text)
            records = found
        at_end = records.answers.get(dns.rdatatype.to_text(rdtype), ())
        addresses = rrset_at(owner, self._config.ttl, at_end, asked.zone)
        found_origins = (*origins, *origins_of(at_end))
        return Found(True, [*chain, *addresses], origins=found_origins) if addresses else EMPTY

    # apex

    def _soa(self, zone: dns.name.Name) -> dns.rrset.RRset:
        return soa(zone, self._config.ttl, int(self._table(zone).modified))

    def _name_servers(self, owner: dns.name.Name, zone: dns.name.Name | None = None) -> Found:
        servers = find_servers(self.table, self._own, zone or owner)
        ttl = self._config.ttl
        answer = name_servers(owner, ttl, [name for name, _, _ in servers])
        additional = [rrset_of(name, ttl, [address_rdata(rdtype, address)]) for name, rdtype, address in servers]
        return Found(True, answer, additional)

    def _own_name(self, asked: Asked) -> Found:
        """``ns.dns``: the addresses of the Services that lead to this server."""
        wanted = dns.rdatatype.to_text(asked.query.rdtype)
        servers = find_servers(self.table, self._own, asked.zone)
        rdatas = [address_rdata(rdtype, address) for _, rdtype, address in servers if rdtype == wanted]
        return Found(True, [rrset_of(asked.query.name, self._config.ttl, rdatas)] if rdatas else [])


def _import_options(config: Config) -> DnsOptions:
    """Zonal names are not defined in a multicluster zone (as CoreDNS)."""
    naming = config.options.naming._replace(multicluster=True, zonal=False)
    return replace(config.options, naming=naming)


def make(config: Config, site: Site) -> Kubernetes:
    return Kubernetes(config, site, open_client(config, site.host))
