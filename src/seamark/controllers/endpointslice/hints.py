"""Hints: which zones and nodes an endpoint is meant for (pure); the service proxies heed them.

``trafficDistribution`` keeps traffic where the endpoint is: in its zone, or on its node. The annotation
``service.kubernetes.io/topology-mode: Auto`` gives each zone a share of the endpoints in proportion to its CPUs, which
may take an endpoint from its zone to another; where no shares without an overload of more than a fifth can be found
there are no hints.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.model.endpointslice import Endpoint, EndpointHints, ForZone
from seamark.model.meta import ObjectKey
from seamark.model.node import CONTROL_PLANE_LABELS, ZONE_LABEL, Node
from seamark.model.service import Service

TOPOLOGY_MODE = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
OVERLOAD = 0.2
TINY = 1e-9  # 0.4 * 6 / 1.2 is two, not a little more


def is_shared_out(service: Service) -> bool:
    mode = next((service.annotations[name] for name in TOPOLOGY_MODE if name in service.annotations), "")
    return mode in ("Auto", "auto")


def select_close_hints(service: Service, endpoint: Endpoint) -> EndpointHints | None:
    """As ``trafficDistribution`` wants it."""
    how = service.spec.traffic_distribution
    if how not in CLOSE or is_shared_out(service) or not endpoint.is_ready:
        return None
    zones = [ForZone(endpoint.zone)] if endpoint.zone else None
    nodes = [ForZone(endpoint.node_name)] if endpoint.node_name and how == "PreferSameNode" else None
    return EndpointHints(for_zones=zones, for_nodes=nodes) if zones or nodes else None


def counts_alike(old: Node | None, new: Node | None) -> bool:
    """Whether a change of a node leaves every zone's part of the CPUs as it was."""
    return old is not None and new is not None and _weight(old) == _weight(new)


def _weight(node: Node) -> tuple[str, int] | None:
    """A node's zone and thousandths of CPUs; None for one that does not count."""
    if not node.is_ready or any(label in node.labels for label in CONTROL_PLANE_LABELS):
        return None
    return node.labels.get(ZONE_LABEL, ""), _cpu_millis(node)


def measure_zones(nodes: Mapping[ObjectKey, Node]) -> dict[str, float]:
    """Each zone's part of the CPUs; empty where it cannot be told. Control planes do not count."""
    cpus: Counter[str] = Counter()
    for node in nodes.values():
        weight = _weight(node)
        if weight is None:
            continue
        zone, millis = weight
        if not zone or not millis:
            return {}
        cpus[zone] += millis
    total = sum(cpus.values())
    return {zone: millis / total for zone, millis in cpus.items()} if len(cpus) > 1 else {}


def _cpu_millis(node: Node) -> int:
    try:
        return parse_quantity((node.status.allocatable or {}).get("cpu", 0)).millis
    except QuantityError:
        return 0


def plan_shares(zones: Mapping[str, float], endpoints: int) -> dict[str, float]:
    """How many endpoints each zone should have; empty where they do not suffice."""
    if not zones or len(zones) > endpoints:
        return {}
    least = {zone: math.ceil(part * endpoints / (1 + OVERLOAD) - TINY) for zone, part in zones.items()}
    if sum(least.values()) > endpoints:
        return {}
    return {zone: max(part * endpoints, least[zone]) for zone, part in zones.items()}


def plan_zones(endpoints: Sequence[Endpoint], zones: Mapping[str, float]) -> list[str]:
    """A zone for each of the ready endpoints, its own where that may be; empty for no hints."""
    shares = plan_shares(zones, len(endpoints))
    found = [endpoint.zone or "" for endpoint in endpoints]
    if not shares or not all(found):
        return []
    held = Counter(found)
    for index, zone in enumerate(found):
        surplus = held[zone] - shares.get(zone, 0.0)
        poorest = max(shares, key=lambda one: (shares[one] - held[one], one))
        lack = shares[poorest] - held[poorest]
        if min(surplus, lack) >= 0.5 and max(surplus, lack) >= 1:
            found[index] = poorest
            held[zone] -= 1
            held[poorest] += 1
    return found
