"""The metrics of kube-proxy, by its names, on a registry of each proxy's own, so that its dashboards work unchanged.

Only what is really measured is here. ``seamark_proxy_propagation_seconds`` is ours: from the commit of a change in the
registry until the kernel had it; ``commit_time`` says how well the commit is known (``client/committed.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from seamark.proxy.timings import Timings

SYNC = tuple(0.001 * 2**n for n in range(15))
PROGRAMMING = (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 330, 30))
PROPAGATION = tuple(0.00025 * 2**n for n in range(18))


class ProxyMetrics:
    """Every metric of one proxy. ``mode`` is the proxy mode: some metrics are of one mode alone."""

    def __init__(self, mode: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # kube-proxy has none
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        family = ["ip_family"]
        self.sync = self._histogram("sync_proxy_rules_duration_seconds", "Time of a sync.", family, SYNC)
        self.sync_full = self._histogram("sync_full_proxy_rules_duration_seconds", "Time of a full sync.", family, SYNC)
        self.sync_partial = self._histogram(
            "sync_partial_proxy_rules_duration_seconds", "Time of a sync of changes.", family, SYNC
        )
        self.last_sync = self._gauge("sync_proxy_rules_last_timestamp_seconds", "When rules were last right.", family)
        self.last_queued = self._gauge(
            "sync_proxy_rules_last_queued_timestamp_seconds", "When a sync was last asked for.", family
        )
        self.programming = self._histogram(
            "network_programming_duration_seconds", "From a pod's change to the kernel.", family, PROGRAMMING
        )
        self.service_changes = self._counter("sync_proxy_rules_service_changes", "Changes of Services.")
        self.services_pending = self._gauge("sync_proxy_rules_service_changes_pending", "Services not in force yet.")
        self.endpoint_changes = self._counter("sync_proxy_rules_endpoint_changes", "Changes of EndpointSlices.")
        self.endpoints_pending = self._gauge(
            "sync_proxy_rules_endpoint_changes_pending", "EndpointSlices not in force yet."
        )
        self.no_local = self._gauge(
            "sync_proxy_rules_no_local_endpoints_total",
            "Service ports with policy Local and no endpoint here.",
            [*family, "traffic_policy"],
        )
        self.healthz = self._counter("proxy_healthz", "Answers of /healthz.", ["code"])
        self.livez = self._counter("proxy_livez", "Answers of /livez.", ["code"])
        self.flows = self._histogram(
            "conntrack_reconciler_sync_duration_seconds", "Time to look for stale flows.", family, SYNC
        )
        self.flows_deleted = self._counter(
            "conntrack_reconciler_deleted_entries", "Flows deleted because their endpoint went.", family
        )
        failures = {
            "nftables": "sync_proxy_rules_nftables_sync_failures",
            "iptables": "sync_proxy_rules_iptables_restore_failures",
            "ipvs": "sync_proxy_rules_ipvs_failures",  # kube-proxy counts none in this mode, and has no userspace
            "userspace": "sync_proxy_rules_userspace_failures",
        }
        self.failures = self._counter(failures[mode], "Rounds the kernel refused.", family)
        self.propagation = Timings(
            "seamark_proxy_propagation_seconds",
            "From the commit of a change to the kernel.",
            ["resource", "change", "commit_time"],
            PROPAGATION,
            registry=self.registry,
        )

        self._slis = CollectorRegistry(auto_describe=False)
        named = {"name": "ping", "type": "healthz"}
        health = Gauge("kubernetes_healthcheck", "Result of a check of health.", [*named], registry=self._slis)
        health.labels(**named).set(1)
        self.pinged = Counter(
            "kubernetes_healthchecks", "Checks of health.", [*named, "status"], registry=self._slis
        ).labels(**named, status="success")

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def render_slis(self) -> bytes:
        """``/metrics/slis``: the check of health that the port of the metrics answers itself."""
        return generate_latest(self._slis)

    def _counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"kubeproxy_{name}", help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"kubeproxy_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float]) -> Timings:
        return Timings(f"kubeproxy_{name}", help, labels, bounds, registry=self.registry)


CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
