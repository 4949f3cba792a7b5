"""Service + slices -> the endpoints of each service port. Every other product starts from this one.

Rules (facts measured on kube-proxy 1.36 and CoreDNS 1.15):

* The unit is (service, port name, protocol); the port *number* comes from the slice, so one port name may map to
  different numbers in different slices. A slice port of another name is no endpoint of the port; a slice port
  without name or number is nothing.
* Endpoint identity is ip:port. The same address in two slices counts once; when it appears both terminating and
  not, the one that is not wins.
* Only ``addresses[0]`` of an endpoint is used by a proxy; DNS takes them all.
* Unset conditions: ready true, serving true, terminating false (``serving`` is independent of ``ready``: a proxy
  believes an unset one even of an endpoint that is not ready).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from seamark.model.endpointslice import Endpoint, EndpointSlice, ForZone
from seamark.model.meta import Provenance
from seamark.model.service import Service


class BackendEndpoint(NamedTuple):
    """One ip:port behind a service port."""

    ip: str
    port: int
    ready: bool
    serving: bool
    terminating: bool
    node: str
    zone: str
    origin: Provenance
    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()


class PortEndpoints(NamedTuple):
    """The endpoints of one service port, sorted by (ip, port)."""

    port_name: str
    protocol: str
    endpoints: tuple[BackendEndpoint, ...]


def compile_endpoints(service: Service, slices: Iterable[EndpointSlice]) -> tuple[PortEndpoints, ...]:
    """One entry for each port of the Service, in its order; ``slices`` are those labelled with it, of any family."""
    found: dict[tuple[str, str], dict[tuple[str, int], BackendEndpoint]] = {
        (port.name, port.protocol): {} for port in service.spec.ports or []
    }
    for piece in slices:
        for port in piece.ports or []:
            wanted = found.get((port.name, port.protocol or "TCP")) if port.name is not None else None
            if wanted is None or not is_port(port.port):
                continue
            for endpoint in _backends(piece, port.port or 0):
                known = wanted.get(endpoint[:2])
                if known is None or (known.terminating and not endpoint.terminating):
                    wanted[endpoint[:2]] = endpoint
    return tuple(PortEndpoints(name, protocol, tuple(sorted(e.values()))) for (name, protocol), e in found.items())


def is_port(number: int | None) -> bool:
    """What fits into a packet; anything else never reaches the kernel."""
    return number is not None and 0 < number <= 65535


def _backends(piece: EndpointSlice, port: int) -> list[BackendEndpoint]:
    if piece.address_type == "FQDN":
        return []
    origin = piece.provenance()
    return [_backend(endpoint, port, origin) for endpoint in piece.endpoints or () if endpoint.addresses]


def _backend(endpoint: Endpoint, port: int, origin: Provenance) -> BackendEndpoint:
    conditions, hints = endpoint.conditions, endpoint.hints
    return BackendEndpoint(
        (endpoint.addresses or [""])[0],
        port,
        conditions is None or conditions.ready is not False,
        conditions is None or conditions.serving is not False,
        conditions is not None and conditions.terminating is True,
        endpoint.node_name or "",
        endpoint.zone or "",
        origin,
        _names(hints.for_zones) if hints else (),
        _names(hints.for_nodes) if hints else (),
    )


def _names(given: list[ForZone] | None) -> tuple[str, ...]:
    return tuple(item.name for item in given or [])
