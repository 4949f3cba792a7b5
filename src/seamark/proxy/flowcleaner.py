"""Deletes UDP flows to endpoints that have gone, after their rules have: which ones says ``flows.py``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from seamark.compile.addresses import Family, family_of
from seamark.compile.ruleset import NodeConfig, PortRules
from seamark.linux.conntrack import Conntrack
from seamark.machinery.clock import Clock
from seamark.proxy.flows import Frontends, select_stale, select_udp
from seamark.proxy.metrics import ProxyMetrics

logger = logging.getLogger(__name__)

FEW_FRONTENDS = 8
"""Up to here each is asked for by itself; beyond, one listing of all UDP flows is cheaper."""
ADDRESS_FAMILIES: Mapping[Family, int] = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


class FlowCleaner:
    """A failure is logged and no more: rules are right, and the next change looks again."""

    def __init__(self, namespace: Path | None, clock: Clock, metrics: ProxyMetrics) -> None:
        self._namespace = namespace
        self._clock = clock
        self._metrics = metrics

    def clean(self, changed: Iterable[PortRules], node: NodeConfig) -> None:
        by_family: dict[Family, list[PortRules]] = {}
        for rules in changed:
            if rules.key.protocol == "UDP":
                by_family.setdefault(family_of(rules.cluster_ips[0]) or "IPv4", []).append(rules)
        for family, ports in by_family.items():
            frontends = select_udp(ports)
            if frontends:
                begun = self._clock.monotonic()
                try:
                    deleted = self._delete_stale(ADDRESS_FAMILIES[family], frontends, node)
                except OSError as error:
                    logger.warning("stale UDP flows not deleted node=%s error=%s", node.name, error)
                    continue
                self._metrics.flows.observe(self._clock.monotonic() - begun, family)
                self._metrics.flows_deleted.labels(family).inc(deleted)

    def _delete_stale(self, family: int, frontends: Frontends, node: NodeConfig) -> int:
        """How many flows were deleted."""
        with Conntrack(self._namespace) as tracker:
            if len(frontends) > FEW_FRONTENDS:
                flows = tracker.udp_flows(family)
            else:
                flows = [f for ip, port in frontends for f in tracker.udp_flows(family, destination=ip, port=port)]
            return sum(tracker.delete(family, flow) for flow in select_stale(flows, frontends, node))
