"""What a proxy watches: Services and EndpointSlices that are its business, its own Node, the service ranges."""

from __future__ import annotations

from typing import Any, NamedTuple

from seamark.client.client import Client
from seamark.client.committed import commit_time
from seamark.client.informer import Informer
from seamark.compile.endpoints import PreparedSlice
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, SERVICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL
from seamark.model.node import Node
from seamark.model.service import Service
from seamark.proxy.lean import lean_service, lean_slice
from seamark.proxy.monitor import Dated
from seamark.proxy.options import SERVICECIDRS, ServiceCIDR

PAGE = 1000
"""Objects a list is asked for at once: so many are held as they came."""
OURS = f"!{SERVICE_PROXY_NAME_LABEL}"


class Sources(NamedTuple):
    services: Informer[Service]
    slices: Informer[PreparedSlice]
    nodes: Informer[Node]
    ranges: Informer[ServiceCIDR]


def make_sources(client: Client, node: str, clock: Clock) -> Sources:
    """Informers that do not run yet. The API server leaves out what is another proxy's, or headless."""
    services = Informer(
        client,
        SERVICES,
        Service,
        clock=clock,
        label_selector=OURS,
        narrowing="spec.clusterIP!=None",  # not known to Kubernetes 1.29 and older
        page=PAGE,
        commit_times=True,
        shrink=lean_service,
    )
    slices = Informer(
        client,
        ENDPOINTSLICES,
        PreparedSlice,
        clock=clock,
        label_selector=f"{OURS},!{HEADLESS_LABEL}",
        page=PAGE,
        commit_times=True,
        read=EndpointSlice,
        shrink=lean_slice,
    )
    nodes = Informer(client, NODES, Node, clock=clock, field_selector=f"metadata.name={node}")
    return Sources(services, slices, nodes, Informer(client, SERVICECIDRS, ServiceCIDR, clock=clock))


def date_change(informer: Informer[Any], old: object | None, new: object | None) -> Dated:
    """The change a handler is told of. A list dates nothing: what it brings may be old."""
    change = "added" if old is None else "removed" if new is None else "changed"
    return Dated(change, *(commit_time(informer.event) if informer.event is not None else (0.0, "")))
