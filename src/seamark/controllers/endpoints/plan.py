"""Service and its pods -> the Endpoints object.

Pods on their way out, finished ones and ones without an address are dropped at once; unready ones are listed apart,
unless the Service publishes them. Addresses are grouped by the ports they serve, sorted by IP, and cut at 1000.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from seamark.controllers import backends
from seamark.controllers.endpoints.objects import EndpointAddress, Endpoints, EndpointSubset
from seamark.model.endpointslice import EndpointPort
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME
from seamark.model.pod import Pod
from seamark.model.service import Service

CAPACITY = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}

Ports = tuple[EndpointPort, ...]


def plan_endpoints(service: Service, pods: Sequence[Pod], current: Endpoints | None) -> dict[str, Any] | None:
    """The object to write, or None where ``current`` says it all already."""
    shown = [pod for pod in pods if _is_shown(service, pod)]
    subsets, truncated = _cut(_group(service, shown))
    labels = {**backends.copied_labels(service), **MANAGED_BY}
    if current is not None and (current.subsets or []) == subsets and current.labels == labels:
        return None
    metadata: dict[str, Any] = {
        "name": service.metadata.name,
        "namespace": service.metadata.namespace,
        "labels": labels,
        "annotations": _annotations(service, shown, current, truncated=truncated),
    }
    if current is not None:
        metadata["resourceVersion"] = current.metadata.resource_version
    found = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    if subsets:
        found["subsets"] = msgspec.to_builtins(subsets)
    return found


def _is_shown(service: Service, pod: Pod) -> bool:
    if pod.is_finished or not backends.addresses(pod, _family(service)):
        return False
    if pod.is_terminating and not service.spec.publish_not_ready_addresses:
        return False
    return bool(service.spec.ports) is False or bool(backends.resolve_ports(service, pod))


def _family(service: Service) -> str:
    """v1 Endpoints know one family: the Service's first."""
    families = service.spec.ip_families
    return families[0] if families else "IPv4"


def _annotations(service: Service, pods: list[Pod], current: Endpoints | None, *, truncated: bool) -> dict[str, str]:
    found = dict(current.annotations) if current is not None else {}
    found.pop(OVER_CAPACITY, None)
    if truncated:
        found[OVER_CAPACITY] = "truncated"
    time = backends.trigger_time(service, pods)
    if time is not None:
        found[LAST_CHANGE_TRIGGER_TIME] = time
    return found


def _group(service: Service, pods: Sequence[Pod]) -> list[tuple[Ports, list[EndpointAddress], list[EndpointAddress]]]:
    groups: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
    for pod in pods:
        ready, unready = groups.setdefault(backends.resolve_ports(service, pod), ([], []))
        is_ready = service.spec.publish_not_ready_addresses or pod.is_ready
        (ready if is_ready else unready).append(_address(service, pod))
    return [(ports, *groups[ports]) for ports in sorted(groups, key=_port_order)]


def _port_order(ports: Ports) -> list[tuple[str, int, str]]:
    return [(p.name or "", p.port or 0, p.protocol or "") for p in ports]


def _address(service: Service, pod: Pod) -> EndpointAddress:
    return EndpointAddress(
        ip=backends.addresses(pod, _family(service))[0],
        hostname=backends.hostname(service, pod),
        node_name=pod.spec.node_name or None,
        target_ref=backends.target_ref(pod),
    )


def _cut(
    groups: list[tuple[Ports, list[EndpointAddress], list[EndpointAddress]]],
) -> tuple[list[EndpointSubset], bool]:
    """At most CAPACITY addresses, ready ones first; says whether any were left out."""
    room = CAPACITY - sum(len(ready) for _, ready, _ in groups)
    total = sum(len(ready) + len(unready) for _, ready, unready in groups)
    ready_room = CAPACITY
    subsets = []
    for ports, ready, unready in groups:
        ready = _sorted(ready)[:ready_room]
        ready_room -= len(ready)
        unready = _sorted(unready)[: max(0, room)]
        room -= len(unready)
        if ready or unready:
            subsets.append(EndpointSubset(ready or None, unready or None, _sorted_ports(ports) or None))
    return subsets, total > CAPACITY


def _sorted(found: list[EndpointAddress]) -> list[EndpointAddress]:
    return sorted(
        found, key=lambda a: (ip_address(a.ip).version, ip_address(a.ip), a.target_ref.uid if a.target_ref else "")
    )


def _sorted_ports(ports: Ports) -> list[EndpointPort]:
    """v1 ports have no name where the Service's has none; a slice's has the empty one."""
    named = [msgspec.structs.replace(p, name=p.name or None) for p in ports]
    return sorted(named, key=lambda p: (p.name or "", p.port or 0, p.protocol or ""))
