"""The service proxy of one node: informers -> index -> compile -> diff -> kernel, by whichever backend.

Nothing is written before Services and EndpointSlices are both synced, so a restart never writes an empty state.
All changes that arrived meanwhile are one transaction. Ending (cancel, or a kill) leaves the rules as they are; only
``remove`` takes them away. What a change meant and when it was in force is kept in ``applied``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.client.informer import Informer
from seamark.compile.endpoints import PreparedSlice
from seamark.compile.nft import CapacityError
from seamark.compile.ruleset import Family, NodeConfig, PortRules
from seamark.linux import netns
from seamark.linux.errors import RefusedError
from seamark.linux.sysctl import write_sysctls
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import SERVICES
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.service import Service
from seamark.proxy.backend import RuleTable
from seamark.proxy.flowcleaner import FlowCleaner
from seamark.proxy.healthports import HealthCheckPorts, select_health_check
from seamark.proxy.index import Pending, ServiceIndex
from seamark.proxy.monitor import Monitor, Round
from seamark.proxy.nodeview import NodeView
from seamark.proxy.options import ProxyOptions, ServiceCIDR, families_of
from seamark.proxy.sources import date_change, make_sources
from seamark.proxy.unserved import REASON, UnservedServices, describe_unserved

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
RETRY, MOST_RETRY = 0.25, 30.0
"""Seconds until what the kernel refused is tried again: at first, and at most."""
KEPT = 1024
PIECE = 500
"""Services a new table is given at once."""


class Applied(NamedTuple):
    """A Service whose change is in force: when its first event was seen and when the kernel had it (Unix seconds)."""

    service: ObjectKey
    seen: float
    applied: float


class ServiceProxy:
    """``config`` without ``node_ips`` takes those of the Node object. ``namespace_pin`` None = this process's own
    network.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        client: Client,
        namespace_pin: Path | None,
        clock: Clock,
        options: ProxyOptions | None = None,
    ) -> None:
        self.applied: deque[Applied] = deque(maxlen=KEPT)
        self.ready = asyncio.Event()
        """Set once the rules of every Service known at the start are in force."""
        self.options = options or ProxyOptions()
        self.families = self.options.families or families_of(config)
        backend, period = self.options.backend, self.options.sync_period
        self.monitor = Monitor(clock, self.families, mode=backend.mode, sync_period=period)
        self.namespace_pin = namespace_pin
        self.slice_revision = ""  # of the EndpointSlice that was seen last
        self._backend = backend
        self._config = config
        self._clock = clock
        self._tables: dict[Family, RuleTable] = {}
        self._index = ServiceIndex(config, self.families)
        self._wake = asyncio.Event()
        self._stale = True  # nothing is loaded yet
        self._round = asyncio.Event()  # set, and replaced, when a round is in force
        self._settled = False  # what the index took is in force
        self._waiting: dict[ObjectKey, float] = {}
        self._due = False
        self._delay, self._retry_at, self._told = RETRY, 0.0, ""
        self._view = NodeView(config, self.options)
        self._recorder = EventRecorder(client, clock=clock, host=config.name)
        self._checks = HealthCheckPorts(
            namespace=namespace_pin,
            clock=clock,
            healthy=lambda: self.monitor.health.is_healthy,
            failed=self._on_check_failed,
        )
        self._unserved = UnservedServices()
        self._cleaner = FlowCleaner(namespace_pin, clock, self.monitor.metrics)
        self._sources = make_sources(client, config.name, clock)

    @property
    def mended(self) -> int:
        """How often a table of ours had to be replaced because somebody had changed it."""
        return sum(table.mended for table in self._tables.values())

    async def run(self) -> None:
        """Until cancelled. Raises only what no waiting will mend: no right to netlink, no pod range of the Node."""
        informers = self._start_informers()
        try:
            async with asyncio.TaskGroup() as group:
                for informer in informers:
                    group.create_task(informer.run(), name=f"proxy informer of {informer.gvr.resource}")
                group.create_task(self._recorder.run(), name="proxy events")
                for informer in informers:
                    await informer.wait_synced()
                await self._view.wait()
                group.create_task(self._tick(), name="proxy watch over the table")
                await self._sync()
                self._write_sysctls()
                while True:
                    if self.options.min_sync_period:
                        await self._clock.sleep(self.options.min_sync_period)
                    await self._wake.wait()
                    self._wake.clear()
                    if self._clock.monotonic() >= self._retry_at:
                        await self._sync()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._checks.close()
            for table in self._tables.values():
                table.close()
            self._tables = {}

    async def wait_unrouted(self, ip: str) -> None:
        """Returns when no rule in force sends new connections to the address."""
        while not self._settled or self._index.is_routed(ip):
            await self._round.wait()

    async def remove(self) -> None:
        """Takes our rules away and nothing else, whether or not the proxy ever ran or the namespace is still there."""
        if self.namespace_pin is None or netns.exists(self.namespace_pin):
            await self._backend.remove(self.families, self.namespace_pin)

    def _start_informers(self) -> list[Informer[Any]]:
        services, slices, nodes, ranges = self._sources
        services.on_change(self._on_service)
        slices.on_change(self._on_slice)
        nodes.on_change(self._on_node)
        found: list[Informer[Any]] = [services, slices, nodes]
        if self.options.service_cidrs_of_api:
            ranges.on_change(self._on_range)
            found.append(ranges)
        return found

    def _write_sysctls(self) -> None:
        for refused in write_sysctls(self.namespace_pin, self.options.sysctls):
            logger.warning("sysctl not set node=%s %s", self._config.name, refused)

    async def _load(self) -> None:
        """Every table: the whole at once over what is there, else piece by piece, so that the first Services work
        while the rest is on its way.
        """
        self._open_tables()
        if not all(table.is_new() for table in self._tables.values()):
            self._wait_for(self._index.take())
        for family, table in self._tables.items():
            begun = self._clock.monotonic()
            await table.start(self._index.rules(family))
            self.monitor.synced(family, self._clock.monotonic() - begun, whole=True)
        sending: asyncio.Task[None] | None = None
        try:
            while self._index.is_dirty:
                piece = self._index.take(PIECE)
                self._wait_for(piece)
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._load_piece(piece))
                await asyncio.sleep(0)  # on its way: the next is compiled while the kernel works
            if sending is not None:
                await sending
        finally:
            if sending is not None:
                sending.cancel()

    async def _load_piece(self, piece: Pending) -> None:
        for family, table in self._tables.items():
            await table.apply(piece.ports[family])

    def _wait_for(self, pending: Pending) -> None:
        """The first event of a Service dates its change."""
        for service, seen in pending.seen.items():
            self._waiting.setdefault(service, seen)

    def _open_tables(self) -> None:
        for family in self.families:
            old = self._tables.pop(family, None)
            if old is not None:
                old.close()
            self._tables[family] = self._backend.open(self._index.node, family, self.namespace_pin)

    async def _sync(self) -> None:
        """One round. A failure is told, by the health port too, and a later round loads everything."""
        self._settled = False
        pending, changes = self._index.take(0 if self.ready.is_set() else PIECE), self.monitor.take()
        self._wait_for(pending)
        node = self._index.node
        whole = self._stale or any(t.node is not node and t.node != node for t in self._tables.values())
        try:
            await (self._load() if whole else self._apply(pending))
        except (OSError, RefusedError, CapacityError) as error:
            if isinstance(error, PermissionError) and not self.ready.is_set():
                raise
            self._back_off(error, changes)
            return
        self._stale, self._delay, self._told = False, RETRY, ""
        self._settled = True
        self._round.set()
        self._round = asyncio.Event()
        if self._backend.tracked:
            self._cleaner.clean(self._all_rules() if whole else _present(pending), self._index.node)
        now = self._clock.time()
        latest = islice(self._waiting.items(), max(0, len(self._waiting) - KEPT), None)
        self.applied.extend(Applied(key, seen, now) for key, seen in latest)
        ports = {family: self._index.rules(family) for family in self.families} if whole else pending.ports
        self.monitor.applied(changes, ports)
        await self._put_checks(self._waiting)
        self._watch_unserved(self._waiting)
        self._waiting = {}
        self.ready.set()

    def _back_off(self, error: Exception, changes: Round) -> None:
        """The same failure again is one line, however often it is tried."""
        self._stale = True
        self.monitor.failed(changes, str(error))
        if str(error) != self._told:
            self._told = str(error)
            logger.error("rules not applied node=%s error=%s", self._config.name, error)
        self._retry_at = self._clock.monotonic() + self._delay
        self._delay = min(self._delay * 2, MOST_RETRY)

    async def _apply(self, pending: Pending) -> None:
        for family, table in self._tables.items():
            if changes := pending.ports[family]:
                begun = self._clock.monotonic()
                await table.apply(changes)
                self.monitor.synced(family, self._clock.monotonic() - begun, whole=False)
            if self._due:
                await table.check()
        if self._due:
            await self._checks.retry()
            self._tell_unserved()
        self._due = False

    async def _put_checks(self, services: Iterable[ObjectKey]) -> None:
        self._checks.node = self._index.node
        for service in services:
            for family in self.families:
                rules = self._index.rules_of(family, service)
                check = select_health_check(rules, self._index.node) if rules else None
                if check is not None or self._checks.has(family, service):
                    await self._checks.put(family, service, check)

    def _watch_unserved(self, services: Iterable[ObjectKey]) -> None:
        """Not those of the first load: they are no change."""
        now = self._clock.monotonic()
        for service in services if self.ready.is_set() else ():
            self._unserved.observe(service, self._first_rules(service), now)

    def _tell_unserved(self) -> None:
        for key in self._unserved.take_due(self._clock.monotonic()):
            service, rules = self._sources.services.get(key), self._first_rules(key)
            message = describe_unserved(service, self._index.slices_of(key), rules) if service is not None else ""
            if service is not None and message:
                self._recorder.record("kube-proxy", SERVICES, service, REASON, message, warning=True, shared=True)

    def _first_rules(self, service: ObjectKey) -> tuple[PortRules, ...]:
        """Those of its first family."""
        return next((r for family in self.families if (r := self._index.rules_of(family, service))), ())

    def _all_rules(self) -> Iterable[PortRules]:
        return (rules for family in self.families for rules in self._index.all_rules(family))

    async def _tick(self) -> None:
        """Wakes the loop to look for foreign changes, to sweep, and to retry."""
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            self._due = True
            self._wake.set()

    def _on_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        self._index.observe_service(old, new, seen)
        self.monitor.observe_service(_either(old, new).key, date_change(self._sources.services, old, new))
        self._wake.set()

    def _on_slice(self, old: PreparedSlice | None, new: PreparedSlice | None, seen: float) -> None:
        self._index.observe_slice(old, new, seen)
        if new is not None:
            self.slice_revision = new.metadata.resource_version
        self.monitor.observe_slice(_either(old, new), date_change(self._sources.slices, old, new), gone=new is None)
        self._wake.set()

    def _on_node(self, _old: Node | None, new: Node | None, seen: float) -> None:
        self.monitor.observe_node(new)
        self._view.observe_node(new)
        self._decide_node(seen)

    def _on_range(self, _old: ServiceCIDR | None, _new: ServiceCIDR | None, seen: float) -> None:
        self._view.observe_ranges(self._sources.ranges.items.values())
        self._decide_node(seen)

    def _decide_node(self, seen: float) -> None:
        if self._index.observe_node(self._view.decide(), seen):
            self._wake.set()

    def _on_check_failed(self, service: ObjectKey, message: str) -> None:
        about = self._sources.services.get(service)
        if about is not None:
            self._recorder.record(
                "kube-proxy", SERVICES, about, "FailedToStartServiceHealthcheck", message, warning=True
            )


T = TypeVar("T")


def _either(old: T | None, new: T | None) -> T:
    """An event is about one of the two at least."""
    found = new if new is not None else old
    assert found is not None
    return found


def _present(pending: Pending) -> Iterable[PortRules]:
    return (rules for changes in pending.ports.values() for rules in changes.values() if rules is not None)
