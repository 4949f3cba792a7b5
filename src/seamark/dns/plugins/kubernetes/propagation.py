"""How long a change took from its commit to the table, by kind of Service; when it was committed says the client."""

from __future__ import annotations

from seamark.client.client import WatchEvent
from seamark.client.committed import commit_time
from seamark.dns.metrics import Metrics
from seamark.model.service import Service


def service_kind(service: Service | None) -> str:
    """CoreDNS's two words, and two for what it does not measure."""
    if service is None:
        return "none"
    if service.spec.type == "ExternalName":
        return "external_name"
    if not service.is_headless:
        return "cluster_ip"
    return "headless_with_selector" if service.spec.selector else "headless_without_selector"


def observe_propagation(metrics: Metrics, event: WatchEvent, kind: str, *, service: Service | None, now: float) -> None:
    committed, known = commit_time(event)
    if committed:
        metrics.propagation.labels(kind, service_kind(service), known).observe(max(now - committed, 0.0))
