"""What a name asks for in Kubernetes' words, for the plugin metadata. Pure."""

from __future__ import annotations

from collections.abc import Callable

import dns.name

from seamark.compile.dnstable import DnsTable
from seamark.dns.corefile.keys import match_zone
from seamark.dns.plugin import Query
from seamark.dns.plugins.kubernetes.config import Config

Told = dict[str, Callable[[], str]]
PREFIX = "kubernetes/"


def describe(query: Query, config: Config, table: DnsTable) -> Told:
    """Labels and values; the client's pod is known with ``pods verified`` only."""
    found: dict[str, str] = {}
    if config.options.pods == "verified" and (client := table.pod_at(query.client)) is not None:
        found |= {"client-namespace": client.namespace, "client-pod-name": client.name}
    zone = match_zone(config.zones, query.text)
    if zone is not None:
        below = query.name.relativize(dns.name.from_text(zone)).labels
        found |= _parts([label.decode("latin-1").lower() for label in below], imported=zone in config.multicluster)
    return {PREFIX + label: lambda text=text: text for label, text in found.items()}  # type: ignore[misc]


def _parts(labels: list[str], *, imported: bool) -> dict[str, str]:
    kind, namespace, service, *left = [*reversed(labels), "", "", ""][: max(3, len(labels))]
    found = {"kind": kind, "namespace": namespace, "service": service, "port-name": "", "protocol": "", "endpoint": ""}
    if kind not in ("", "svc", "pod") or len(left) > 2:
        return {"parse-error": "invalid query name"}
    if len(left) == 1:
        found["endpoint"] = left[0]
    elif len(left) == 2 and imported and not any(label.startswith("_") for label in left):
        found |= {"cluster": left[0], "endpoint": left[1]}
    elif len(left) == 2:
        found |= {"protocol": left[0].removeprefix("_"), "port-name": left[1].removeprefix("_")}
    return found
