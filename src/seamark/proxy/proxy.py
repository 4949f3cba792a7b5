"""The service proxy of one node: informers -> index -> compile -> diff -> kernel.

Nothing is written before Services and EndpointSlices are both synced, so a restart never writes an empty state.
All changes that arrived meanwhile are one transaction. Ending (cancel, or a kill) leaves the rules as they are; only
``remove`` takes them away. What a change meant and when it was in force is kept in ``applied``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from seamark.client.client import Client
from seamark.client.informer import Informer
from seamark.compile.nft import CapacityError
from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import Family, NodeConfig, PortRules, family_of
from seamark.linux import netns
from seamark.linux.conntrack import Conntrack
from seamark.linux.nfnetlink import Nfnetlink, NfnetlinkError
from seamark.linux.nft import NftError
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, SERVICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL, ObjectKey
from seamark.model.node import ZONE_LABEL, Node
from seamark.model.service import Service
from seamark.proxy.flows import Frontends, select_stale, select_udp
from seamark.proxy.index import Pending, ServiceIndex
from seamark.proxy.table import KernelTable

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
FEW_FRONTENDS = 8
KEPT = 1024
ADDRESS_FAMILIES: Mapping[Family, int] = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


class Applied(NamedTuple):
    """A Service whose change is in force: when its first event was seen and when the kernel had it (Unix seconds)."""

    service: ObjectKey
    seen: float
    applied: float


class ServiceProxy:
    """``config`` without ``node_ips`` takes those of the Node object. ``namespace_pin`` None = this process's own
    network. ``table`` is the name of the nft table, ours alone.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        client: Client,
        namespace_pin: Path | None,
        clock: Clock,
        table: str = "seamark",
    ) -> None:
        self.applied: deque[Applied] = deque(maxlen=KEPT)
        self.ready = asyncio.Event()
        """Set once the rules of every Service known at the start are in force."""
        self._config = config
        self._namespace = namespace_pin
        self._clock = clock
        self._layouts: dict[Family, Layout] = {f: Layout(f, table) for f in families_of(config)}
        self._tables: dict[Family, KernelTable] = {}
        self._index = ServiceIndex(config, tuple(self._layouts))
        self._wake = asyncio.Event()
        self._stale = True  # nothing is loaded yet
        self._round = asyncio.Event()  # set, and replaced, when a round is in force
        self._settled = False  # what the index took is in force
        self._waiting: dict[ObjectKey, float] = {}
        self._due = False
        ours, headless = f"!{SERVICE_PROXY_NAME_LABEL}", f"!{HEADLESS_LABEL}"
        self._services = Informer(
            client, SERVICES, Service, clock=clock, label_selector=ours, field_selector="spec.clusterIP!=None"
        )
        self._slices = Informer(client, ENDPOINTSLICES, EndpointSlice, clock=clock, label_selector=f"{ours},{headless}")
        self._nodes = Informer(client, NODES, Node, clock=clock, field_selector=f"metadata.name={config.name}")

    @property
    def mended(self) -> int:
        """How often a table of ours had to be replaced because somebody had changed it."""
        return sum(table.mended for table in self._tables.values())

    async def run(self) -> None:
        """Until cancelled. Raises only what makes a proxy impossible (no nft, no right to netlink)."""
        self._services.on_change(self._on_service)
        self._slices.on_change(self._on_slice)
        self._nodes.on_change(self._on_node)
        try:
            async with asyncio.TaskGroup() as group:
                informers = (self._services, self._slices, self._nodes)
                for informer in informers:
                    group.create_task(informer.run(), name=f"proxy informer of {informer.gvr.resource}")
                for informer in informers:
                    await informer.wait_synced()
                group.create_task(self._tick(), name="proxy watch over the table")
                while True:
                    await self._sync()
                    await self._wake.wait()
                    self._wake.clear()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for table in self._tables.values():
                table.close()
            self._tables = {}

    async def wait_unrouted(self, ip: str) -> None:
        """Returns when no rule in force sends new connections to the address."""
        while not self._settled or self._index.is_routed(ip):
            await self._round.wait()

    async def remove(self) -> None:
        """Deletes our tables and nothing else, whether or not the proxy ever ran or the namespace is still there."""
        if self._namespace is not None and not netns.exists(self._namespace):
            return
        with Nfnetlink(self._namespace) as netlink:
            for layout in self._layouts.values():
                netlink.delete_table(layout.nft_family, layout.table)

    async def _load(self) -> None:
        """Every table, from the index as it stands."""
        for family, layout in self._layouts.items():
            old = self._tables.pop(family, None)
            if old is not None:
                old.close()
            table = self._tables[family] = KernelTable(self._index.node, layout, self._namespace)
            await table.start(self._index.rules(family))

    async def _sync(self) -> None:
        """One round. A failure is logged and the next round loads everything; before the first success it ends us,
        save when others kept changing nftables meanwhile.
        """
        self._settled = False
        pending = self._index.take()
        self._waiting = {**pending.seen, **self._waiting}  # the first event of a Service dates its change
        whole = self._stale or any(t.mirror.node != self._index.node for t in self._tables.values())
        try:
            await (self._load() if whole else self._apply(pending))
        except (OSError, NftError, CapacityError) as error:
            if not self.ready.is_set() and not isinstance(error, NfnetlinkError):
                raise
            self._stale = True
            logger.error("rules not applied node=%s error=%s", self._config.name, error)
            return
        self._stale = False
        self._settled = True
        self._round.set()
        self._round = asyncio.Event()
        self._clean_flows(self._all_rules() if whole else _present(pending))
        now = self._clock.time()
        self.applied.extend(Applied(key, seen, now) for key, seen in self._waiting.items())
        self._waiting = {}
        self.ready.set()

    async def _apply(self, pending: Pending) -> None:
        for family, table in self._tables.items():
            await table.apply(pending.ports[family])
            if self._due:
                await table.check()
        self._due = False

    def _all_rules(self) -> Iterable[PortRules]:
        return (rules for family in self._layouts for rules in self._index.rules(family).values())

    async def _tick(self) -> None:
        """Wakes the loop to look for foreign changes, to sweep, and to retry."""
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            self._due = True
            self._wake.set()

    def _clean_flows(self, changed: Iterable[PortRules]) -> None:
        by_family: dict[Family, list[PortRules]] = {}
        for rules in changed:
            by_family.setdefault(family_of(rules.cluster_ips[0]) or "IPv4", []).append(rules)
        for family, ports in by_family.items():
            frontends = select_udp(ports)
            if frontends:
                try:
                    self._delete_stale(ADDRESS_FAMILIES[family], frontends)
                except OSError as error:
                    logger.warning("stale UDP flows not deleted node=%s error=%s", self._config.name, error)

    def _delete_stale(self, family: int, frontends: Frontends) -> None:
        with Conntrack(self._namespace) as tracker:
            if len(frontends) > FEW_FRONTENDS:
                flows = tracker.udp_flows(family)
            else:
                flows = [f for ip, port in frontends for f in tracker.udp_flows(family, destination=ip, port=port)]
            for flow in select_stale(flows, frontends, self._index.node):
                tracker.delete(family, flow)

    def _on_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        self._index.observe_service(old, new, seen)
        self._wake.set()

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None, seen: float) -> None:
        self._index.observe_slice(old, new, seen)
        self._wake.set()

    def _on_node(self, _old: Node | None, new: Node | None, seen: float) -> None:
        if new is None:
            return  # a proxy outlives its Node object: traffic goes on
        zone = new.labels.get(ZONE_LABEL, "") or self._config.zone
        addresses = self._config.node_ips or new.internal_ips
        if self._index.observe_node(replace(self._config, zone=zone, node_ips=addresses), seen):
            self._wake.set()


def _present(pending: Pending) -> Iterable[PortRules]:
    return (rules for changes in pending.ports.values() for rules in changes.values() if rules is not None)


def families_of(config: NodeConfig) -> tuple[Family, ...]:
    """The families the cluster has Services in; IPv4 where nothing tells."""
    found = {family_of(cidr.partition("/")[0]) for cidr in (*config.service_cidrs, *config.pod_cidrs)}
    return tuple(family for family in ADDRESS_FAMILIES if family in found) or ("IPv4",)
