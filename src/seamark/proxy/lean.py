"""Services and EndpointSlices as far as a proxy reads them: a tenth of the memory of what the API sends.

A proxy holds every Service of the cluster for ever. What it never looks at (owners, most labels, the pods behind
endpoints) is dropped as objects arrive, and what thousands have in common (conditions, ports, nodes' names) is shared.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from msgspec import structs

from seamark.compile.endpoints import PreparedSlice, prepare_ports
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import (
    HEADLESS_LABEL,
    LAST_CHANGE_TRIGGER_TIME,
    SERVICE_NAME_LABEL,
    SERVICE_PROXY_NAME_LABEL,
    ObjectMeta,
)
from seamark.model.service import Service, ServiceStatus

READ_LABELS = (SERVICE_NAME_LABEL, HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL)
NO_STATUS = ServiceStatus()

T = TypeVar("T")
_shared: dict[object, object] = {}
MANY_SHARED = 65536


def lean_service(service: Service) -> Service:
    spec, balancer = service.spec, service.status.load_balancer
    known = (spec.type, spec.session_affinity, spec.external_traffic_policy, spec.internal_traffic_policy or "")
    type, affinity, external, internal = map(sys.intern, known)
    ports = spec.ports or []
    kept = structs.replace(
        spec,
        type=type,
        session_affinity=affinity,
        external_traffic_policy=external,
        internal_traffic_policy=internal or None,
        ports=_share(ports, tuple(ports)),
        cluster_ips=None if spec.cluster_ips == [spec.cluster_ip] else spec.cluster_ips,
        ip_families=None,
        ip_family_policy=None,
    )
    return structs.replace(
        service,
        metadata=_meta(service.metadata),
        spec=kept,
        status=service.status if balancer and balancer.ingress else NO_STATUS,
        api_version="",
        kind="",
    )


def lean_slice(piece: EndpointSlice) -> PreparedSlice:
    return PreparedSlice(
        metadata=_meta(piece.metadata), address_type=sys.intern(piece.address_type), ports=prepare_ports(piece)
    )


def _meta(meta: ObjectMeta) -> ObjectMeta:
    labels, annotations = meta.labels or {}, meta.annotations or {}
    kept = {name: labels[name] for name in READ_LABELS if name in labels}
    trigger = annotations.get(LAST_CHANGE_TRIGGER_TIME)
    return ObjectMeta(
        name=meta.name,
        namespace=sys.intern(meta.namespace),
        uid=meta.uid,
        resource_version=meta.resource_version,
        deletion_timestamp=meta.deletion_timestamp,
        labels=kept or None,
        annotations={LAST_CHANGE_TRIGGER_TIME: trigger} if trigger else None,
    )


def _share(value: T, key: object = None) -> T:
    """The first of all equal values."""
    if len(_shared) >= MANY_SHARED:
        _shared.clear()
    return _shared.setdefault((type(value), value if key is None else key), value)  # type: ignore[return-value]  # a T
