"""Names and types of metrics beside those that kube-proxy 1.36.3 showed after the same minute."""

from __future__ import annotations

import re

import pytest

from seamark.machinery.wire import Request, Response
from seamark.proxy.metrics import ProxyMetrics
from seamark.proxy.restmetrics import CountedTransport
from seamark.testing.clock import FakeClock

BOTH = """kubeproxy_proxy_healthz_total counter, kubeproxy_proxy_livez_total counter,
kubeproxy_sync_full_proxy_rules_duration_seconds histogram,
kubeproxy_sync_partial_proxy_rules_duration_seconds histogram, kubeproxy_sync_proxy_rules_duration_seconds histogram,
kubeproxy_sync_proxy_rules_endpoint_changes_pending gauge, kubeproxy_sync_proxy_rules_endpoint_changes_total counter,
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge,
kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge, kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge,
kubeproxy_sync_proxy_rules_service_changes_pending gauge, kubeproxy_sync_proxy_rules_service_changes_total counter,
process_cpu_seconds_total counter, process_max_fds gauge, process_open_fds gauge, process_resident_memory_bytes gauge,
process_start_time_seconds gauge, process_virtual_memory_bytes gauge, rest_client_request_duration_seconds histogram,
rest_client_requests_total counter"""
LATER = """kubeproxy_conntrack_reconciler_deleted_entries_total counter,
kubeproxy_conntrack_reconciler_sync_duration_seconds histogram,
kubeproxy_network_programming_duration_seconds histogram"""
"""It shows these once there was something."""
OF_A_MODE = {
    "nftables": "kubeproxy_sync_proxy_rules_nftables_sync_failures_total counter",
    "iptables": "kubeproxy_sync_proxy_rules_iptables_restore_failures_total counter",
}
OURS = {"seamark_proxy_propagation_seconds histogram"}


class Nobody:
    async def __call__(self, request: Request) -> Response:
        raise NotImplementedError

    async def close(self) -> None: ...


def names(text: str) -> set[str]:
    return {" ".join(name.split()) for name in text.split(",")}


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
def test_what_kube_proxy_shows_is_shown(mode: str) -> None:
    metrics = ProxyMetrics(mode)
    CountedTransport(Nobody(), "https://127.0.0.1:6443", FakeClock()).register(metrics.registry)
    shown = set(re.findall(r"^# TYPE (\S+ \S+)", metrics.render().decode(), re.MULTILINE))
    assert shown == names(f"{BOTH},{LATER},{OF_A_MODE[mode]}") | OURS
