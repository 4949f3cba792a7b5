"""Hints: which zones and nodes an endpoint is meant for (pure); the service proxies heed them.

``trafficDistribution`` keeps traffic where the endpoint is: in its zone, or on its node. The annotation
``service.kubernetes.io/topology-mode: Auto`` gives each zone a share of the endpoints in proportion to its CPUs, which
may take an endpoint from its zone to another; where no shares without an overload of more than a fifth can be found
there are no hints. What an endpoint was meant for before stays as long as its zone has no more than it may.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.model.endpointslice import Endpoint, EndpointHints, ForZone
from seamark.model.meta import ObjectKey
from seamark.model.node import CONTROL_PLANE_LABELS, ZONE_LABEL, Node
from seamark.model.service import Service

TOPOLOGY_MODE = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
CLOSE = ("PreferClose", "PreferSameZone", "PreferSameNode")
OVERLOAD = 0.2
TINY = 1e-9  # 0.4 * 6 / 1.2 is two, not a little more


class Share(NamedTuple):
    """Of the endpoints, for one zone."""

    desired: float
    maximum: int


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


def plan_shares(zones: Mapping[str, float], endpoints: int) -> dict[str, Share]:
    """Empty where the endpoints do not suffice."""
    if not zones or len(zones) > endpoints:
        return {}
    least = {zone: math.ceil(part * endpoints / (1 + OVERLOAD) - TINY) for zone, part in zones.items()}
    spare = endpoints - sum(least.values())
    if spare < 0:
        return {}
    return {zone: Share(max(part * endpoints, least[zone]), least[zone] + spare) for zone, part in zones.items()}


def plan_zones(endpoints: Sequence[tuple[Endpoint, str]], zones: Mapping[str, float]) -> list[str]:
    """A zone for each of the ready endpoints; they come with the one they were meant for before. Empty: no hints."""
    shares = plan_shares(zones, len(endpoints))
    if not shares or not all(endpoint.zone for endpoint, _ in endpoints):
        return []
    held: Counter[str] = Counter()
    found: list[str] = []
    fresh: list[int] = []
    for index, (endpoint, before) in enumerate(endpoints):
        stays = before in shares and held[before] < shares[before].maximum
        found.append(before if stays else endpoint.zone or "")
        held[found[-1]] += 1
        if not stays:
            fresh.append(index)
    _even_out(found, fresh, held, shares)
    return found


def _even_out(found: list[str], fresh: Sequence[int], held: Counter[str], shares: Mapping[str, Share]) -> None:
    """Takes from zones with too many, of those that are not settled, and gives to the one that lacks most."""
    for index in fresh:
        zone = found[index]
        surplus = held[zone] - shares[zone].desired if zone in shares else float(held[zone])
        poorest = max(shares, key=lambda one: (shares[one].desired - held[one], one))
        lack = shares[poorest].desired - held[poorest]
        if surplus >= 0.5 and lack >= 0.5 and max(surplus, lack) >= 1:
            found[index] = poorest
            held[zone] -= 1
            held[poorest] += 1
