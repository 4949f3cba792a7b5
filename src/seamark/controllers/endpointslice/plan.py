"""Service, pods, nodes and the slices there are -> which slices to create, update and delete.

Rules:

* A slice holds endpoints of one address family that serve the same ports, at most ``CAPACITY``.
* As few writes as possible: an endpoint stays in the slice it is in; new ones go first into slices that change anyway,
  then into the fullest unchanged slice that has room for all of them, then into new slices. Every write is sent to
  every node of the cluster, so a half-full slice is cheaper than a moved endpoint.
* A slice that would be deleted while another is created becomes that other one.
* A Service without endpoints keeps one empty slice per family, so that its existence shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from seamark.controllers import backends
from seamark.controllers.endpointslice.hints import is_shared_out, measure_zones, plan_zones, select_close_hints
from seamark.controllers.owners import owner_reference
from seamark.machinery.gvr import SERVICES
from seamark.model.endpointslice import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForZone,
)
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME, SERVICE_NAME_LABEL, ObjectKey
from seamark.model.node import ZONE_LABEL, Node
from seamark.model.pod import Pod
from seamark.model.service import Service

CAPACITY = 100
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"

Ports = tuple[EndpointPort, ...]
Identity = tuple[str, tuple[str, ...]]


class Plan(NamedTuple):
    create: list[dict[str, Any]]
    update: list[dict[str, Any]]
    delete: list[EndpointSlice]


@dataclass
class _Draft:
    """A slice in the making; ``base`` is the existing one, None for a new one."""

    ports: Ports
    base: EndpointSlice | None = None
    endpoints: list[Endpoint] = field(default_factory=list)
    changed: bool = False

    @property
    def room(self) -> int:
        return CAPACITY - len(self.endpoints)


def plan_slices(
    service: Service, pods: Sequence[Pod], nodes: Mapping[ObjectKey, Node], current: Sequence[EndpointSlice]
) -> Plan:
    """``current`` are the Service's slices that carry this controller's mark."""
    plan = Plan([], [], [])
    families = service.spec.ip_families or ["IPv4"]
    for family in families:
        mine = [s for s in current if s.address_type == family and s.metadata.deletion_timestamp is None]
        _plan_family(plan, service, family, pods=pods, nodes=nodes, current=mine)
    plan.delete.extend(s for s in current if s.address_type not in families and not s.metadata.deletion_timestamp)
    return plan


def _plan_family(
    plan: Plan,
    service: Service,
    family: str,
    *,
    pods: Sequence[Pod],
    nodes: Mapping[ObjectKey, Node],
    current: list[EndpointSlice],
) -> None:
    shown = [pod for pod in pods if _is_shown(service, pod, family, nodes)]
    wanted: dict[Ports, list[Endpoint]] = {}
    for pod in sorted(shown, key=lambda pod: pod.metadata.name):
        wanted.setdefault(backends.resolve_ports(service, pod), []).append(_endpoint(service, pod, family, nodes))
    if is_shared_out(service):
        wanted = _share_out(wanted, nodes)
    drafts: list[_Draft] = []
    spare: list[EndpointSlice] = []
    for one in sorted(current, key=lambda s: s.metadata.name):
        ports = tuple(one.ports or ())
        if ports in wanted:
            drafts.append(_Draft(ports, one))
        else:
            spare.append(one)
    for ports, endpoints in wanted.items():
        drafts += _place([d for d in drafts if d.ports == ports], ports, endpoints)
    spare += [d.base for d in drafts if d.base is not None and not d.endpoints]
    drafts = [d for d in drafts if d.endpoints] or [_Draft(())]
    _recycle(drafts, spare)
    time = backends.trigger_time(service, shown)
    for draft in drafts:
        _finish(plan, service, family, draft, time)
    plan.delete.extend(spare)


def _is_shown(service: Service, pod: Pod, family: str, nodes: Mapping[ObjectKey, Node]) -> bool:
    if pod.is_finished or not backends.addresses(pod, family):
        return False
    return service.spec.publish_not_ready_addresses or ObjectKey("", pod.spec.node_name) in nodes


def _endpoint(service: Service, pod: Pod, family: str, nodes: Mapping[ObjectKey, Node]) -> Endpoint:
    node = nodes.get(ObjectKey("", pod.spec.node_name))
    found = Endpoint(
        addresses=backends.addresses(pod, family)[:1],
        conditions=EndpointConditions(
            ready=backends.is_published_ready(service, pod), serving=pod.is_ready, terminating=pod.is_terminating
        ),
        hostname=backends.hostname(service, pod) or None,
        target_ref=backends.target_ref(pod),
        node_name=pod.spec.node_name or None,
        zone=node.labels.get(ZONE_LABEL) if node else None,
    )
    return replace(found, hints=select_close_hints(service, found))


def _share_out(wanted: Mapping[Ports, list[Endpoint]], nodes: Mapping[ObjectKey, Node]) -> dict[Ports, list[Endpoint]]:
    """The same endpoints, the ready ones with the zone each is meant for."""
    ready = [endpoint for endpoints in wanted.values() for endpoint in endpoints if endpoint.is_ready]
    zones = plan_zones(ready, measure_zones(nodes)) or [""] * len(ready)
    meant = {_identity(endpoint): zone for endpoint, zone in zip(ready, zones, strict=True)}

    def hints(endpoint: Endpoint) -> EndpointHints | None:
        zone = meant.get(_identity(endpoint))
        return EndpointHints([ForZone(zone)]) if zone else None

    return {ports: [replace(one, hints=hints(one)) for one in endpoints] for ports, endpoints in wanted.items()}


def _identity(endpoint: Endpoint) -> Identity:
    return (endpoint.target_ref.uid if endpoint.target_ref else "", tuple(endpoint.addresses or ()))


def _place(drafts: list[_Draft], ports: Ports, endpoints: list[Endpoint]) -> list[_Draft]:
    """Fills ``drafts`` in place; what it returns are the additional new ones."""
    left = {_identity(endpoint): endpoint for endpoint in endpoints}
    for draft in drafts:
        before = draft.base.endpoints or [] if draft.base else []
        kept = [left.pop(_identity(old)) for old in before if _identity(old) in left]
        draft.endpoints = kept
        draft.changed = kept != before
    rest = list(left.values())
    for draft in sorted((d for d in drafts if d.changed), key=lambda d: d.room):
        rest = _fill(draft, rest)
    if not rest:
        return []
    roomy = [d for d in drafts if not d.changed and d.room >= len(rest) % CAPACITY]
    new = []
    while len(rest) >= CAPACITY:
        new.append(_Draft(ports))
        rest = _fill(new[-1], rest)
    if rest and roomy:
        rest = _fill(min(roomy, key=lambda d: d.room), rest)
    if rest:
        new.append(_Draft(ports))
        _fill(new[-1], rest)
    return new


def _fill(draft: _Draft, rest: list[Endpoint]) -> list[Endpoint]:
    taken = rest[: draft.room]
    draft.endpoints = [*draft.endpoints, *taken]
    draft.changed = draft.changed or bool(taken)
    return rest[len(taken) :]


def _recycle(drafts: list[_Draft], spare: list[EndpointSlice]) -> None:
    for draft in drafts:
        if draft.base is None and spare:
            draft.base = spare.pop()
            draft.changed = bool(draft.endpoints) or bool(draft.base.endpoints or draft.base.ports)


def _finish(plan: Plan, service: Service, family: str, draft: _Draft, time: str | None) -> None:
    labels = {**backends.copied_labels(service), SERVICE_NAME_LABEL: service.metadata.name, MANAGED_BY: MANAGER}
    base = draft.base
    if base is not None and not draft.changed and base.labels == labels:
        return
    metadata: dict[str, Any] = {
        "namespace": service.metadata.namespace,
        "labels": labels,
        "annotations": dict(base.annotations) if base else {},
        "ownerReferences": [owner_reference(service, SERVICES)],
    }
    if time is not None:
        metadata["annotations"][LAST_CHANGE_TRIGGER_TIME] = time
    if base is not None:
        metadata |= {"name": base.metadata.name, "resourceVersion": base.metadata.resource_version}
    else:
        metadata["generateName"] = f"{service.metadata.name}-"
    found = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family,
        "endpoints": msgspec.to_builtins(draft.endpoints) or None,
        "ports": msgspec.to_builtins(list(draft.ports)) or None,
    }
    (plan.update if base is not None else plan.create).append(found)
