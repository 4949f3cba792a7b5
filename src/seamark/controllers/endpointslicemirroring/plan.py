"""Hand-made Endpoints and the slices that mirror them -> slices to create, update and delete.

A Service without selector gets its endpoints by hand, often still as v1 Endpoints; proxies and DNS read slices alone.
One slice for the addresses of one family that serve the same ports, at most a thousand of them. Not mirrored: Endpoints
labelled ``skip-mirror``, those used as a lock by old leader election, and those whose Service has a selector or is not
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from seamark.controllers.endpoints.objects import EndpointAddress, Endpoints
from seamark.controllers.owners import owner_reference
from seamark.machinery.gvr import ENDPOINTS
from seamark.model.endpointslice import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME, SERVICE_NAME_LABEL
from seamark.model.service import Service

CAPACITY = 1000
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Group = tuple[str, tuple[EndpointPort, ...]]
"""Address family and ports: what the endpoints of a slice have in common."""


class Plan(NamedTuple):
    create: list[dict[str, Any]]
    update: list[dict[str, Any]]
    delete: list[EndpointSlice]
    skipped: int
    """Addresses beyond what a slice holds."""


def is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    if service is None or service.spec.selector or service.metadata.deletion_timestamp is not None:
        return False
    if endpoints.metadata.deletion_timestamp is not None:
        return False
    return endpoints.labels.get(SKIP_MIRROR) != "true" and _LEADER not in endpoints.annotations


def plan_mirror(endpoints: Endpoints, current: Sequence[EndpointSlice]) -> Plan:
    """``current`` are the slices of this controller for the same Service."""
    wanted, skipped = _group(endpoints)
    plan = Plan([], [], [], skipped)
    left = [one for one in current if one.metadata.deletion_timestamp is None]
    for group, found in wanted.items():
        same = [one for one in left if (one.address_type, tuple(one.ports or ())) == group]
        base = same[0] if same else None
        if base is not None:
            left.remove(base)
        rendered = _render(endpoints, group, found, base)
        if base is None:
            plan.create.append(rendered)
        elif not _says_it_all(base, rendered, found):
            plan.update.append(rendered)
    plan.delete.extend(left)
    return plan


def _group(endpoints: Endpoints) -> tuple[dict[Group, list[Endpoint]], int]:
    wanted: dict[Group, dict[str, Endpoint]] = {}
    skipped = 0
    for subset in endpoints.subsets or ():
        ports = tuple(EndpointPort(p.name or "", p.protocol, p.port, p.app_protocol) for p in subset.ports or ())
        for ready, listed in ((True, subset.addresses), (False, subset.not_ready_addresses)):
            for address in listed or ():
                ip = ip_address(address.ip)
                held = wanted.setdefault((f"IPv{ip.version}", ports), {})
                if len(held) >= CAPACITY and str(ip) not in held:
                    skipped += 1
                else:
                    held.setdefault(str(ip), _endpoint(address, str(ip), ready=ready))
    return {group: list(held.values()) for group, held in wanted.items()}, skipped


def _endpoint(address: EndpointAddress, ip: str, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=[ip],
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname or None,
        target_ref=address.target_ref,
        node_name=address.node_name,
    )


def _says_it_all(base: EndpointSlice, rendered: dict[str, Any], found: list[Endpoint]) -> bool:
    meta = rendered["metadata"]
    return (base.endpoints or []) == found and (base.labels, base.annotations) == (meta["labels"], meta["annotations"])


def _render(endpoints: Endpoints, group: Group, found: list[Endpoint], base: EndpointSlice | None) -> dict[str, Any]:
    family, ports = group
    name, dropped = endpoints.metadata.name, (LAST_CHANGE_TRIGGER_TIME, _LAST_APPLIED)
    metadata: dict[str, Any] = {
        "namespace": endpoints.metadata.namespace,
        "labels": {**endpoints.labels, SERVICE_NAME_LABEL: name, MANAGED_BY: MANAGER},
        "annotations": {k: v for k, v in endpoints.annotations.items() if k not in dropped},
        "ownerReferences": [owner_reference(endpoints, ENDPOINTS)],
    }
    if base is not None:
        metadata |= {"name": base.metadata.name, "resourceVersion": base.metadata.resource_version}
    else:
        metadata["generateName"] = f"{name}-"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family,
        "endpoints": msgspec.to_builtins(found),
        "ports": [{**msgspec.to_builtins(port), "name": port.name or ""} for port in ports],
    }
