"""Services and IPAddresses -> what is wrong between them, and how to mend it; pure.

The API server writes both together; they differ after a crash between the two, or when somebody deletes or rewrites an
IPAddress. A Service is right: its address is made again, and an address without a Service goes, a minute after it was
made (its Service may still be on its way).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from seamark.machinery.clock import parse_time
from seamark.model.ipaddress import ALLOCATOR, FAMILY_LABEL, MANAGED_BY_LABEL, IPAddress
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

LEAK_SECONDS = 60.0
SETTLE_SECONDS = 5.0
NEVER_EMPTY = ("", "services")


@dataclass(frozen=True, slots=True)
class Make:
    """``replaced`` is deleted first. An Event is told where there is a ``reason``."""

    ip: str
    replaced: IPAddress | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tell:
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Remove:
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LookAgain:
    seconds: float


def plan_service(
    service: Service,
    addresses: Callable[[str], IPAddress | None],
    services: Callable[[ObjectKey], Service | None],
    ranges: Iterable[str],
) -> tuple[Make | Tell, ...]:
    networks = [ip_network(cidr) for cidr in ranges]
    found: list[Make | Tell] = []
    for ip in service.cluster_ips:
        family = "IPv6" if ":" in ip else "IPv4"
        if not any(ip_address(ip) in network for network in networks):
            text = f"Cluster IP [{family}]: {ip} is not within any configured Service CIDR; please recreate service"
            found.append(Tell("ClusterIPOutOfRange", text))
            continue
        address = addresses(ip)
        if address is None:
            text = f"Cluster IP [{family}]: {ip} is not allocated; repairing"
            found.append(Make(ip, None, "ClusterIPNotAllocated", text))
        else:
            found += _compare(service, ip, family, address, services)
    return tuple(found)


def _compare(
    service: Service,
    ip: str,
    family: str,
    address: IPAddress,
    services: Callable[[ObjectKey], Service | None],
) -> list[Make | Tell]:
    parent, meta = address.spec.parent_ref, service.metadata
    wrong = f"the ClusterIP [{family}]: {ip} for Service {meta.namespace}/{meta.name} has a wrong reference; repairing"
    if (parent.group, parent.resource) != NEVER_EMPTY:
        return [Make(ip, address, "ClusterIPNotAllocated", wrong)]
    if (parent.namespace, parent.name) != (meta.namespace, meta.name):
        other = services(ObjectKey(parent.namespace, parent.name))
        if other is None:
            return [Make(ip, address, "ClusterIPNotAllocated", wrong)]
        if ip in other.cluster_ips:
            text = f"Cluster IP [{family}]:{ip} was assigned to multiple services; please recreate service"
            return [Tell("ClusterIPAlreadyAllocated", text)]
    right = address.labels.get(FAMILY_LABEL) == family and address.is_allocated
    return [] if right else [Make(ip, address)]


def plan_address(address: IPAddress, service: Service | None, *, now: float) -> Remove | LookAgain | None:
    """``service`` is the one it refers to."""
    if not address.is_allocated:
        return None
    parent, name = address.spec.parent_ref, address.metadata.name
    if (parent.group, parent.resource) != NEVER_EMPTY:
        text = f"IPAddress {name} appears to have been modified, not referencing a Service: cleaning up"
        return Remove("IPAddressNotAllocated", text)
    age = now - parse_time(address.metadata.creation_timestamp or "")
    where = f"IPAddress: {name} for Service {parent.namespace}/{parent.name}"
    if service is None:
        if age <= LEAK_SECONDS:
            return LookAgain(LEAK_SECONDS - age + 1)
        return Remove("IPAddressNotAllocated", f"{where} appears to have leaked: cleaning up")
    if name in service.cluster_ips:
        return None
    settle = LEAK_SECONDS if service.spec.type == "ExternalName" else SETTLE_SECONDS
    if age < settle:
        return LookAgain(settle - age)
    return Remove("IPAddressWrongReference", f"{where} has a wrong reference; cleaning up")


def render_address(ip: str, service: Service) -> dict[str, Any]:
    meta = service.metadata
    labels = {FAMILY_LABEL: "IPv6" if ":" in ip else "IPv4", MANAGED_BY_LABEL: ALLOCATOR}
    parent = {"group": "", "resource": "services", "namespace": meta.namespace, "name": meta.name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": parent},
    }
