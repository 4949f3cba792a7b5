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
from sys import intern
from typing import NamedTuple

from seamark.compile.addresses import family_of
from seamark.model.endpointslice import Endpoint, EndpointPort, EndpointSlice, ForZone
from seamark.model.meta import SERVICE_NAME_LABEL, Object, ObjectKey, Provenance
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
    """The endpoints of one port, of a slice or of a Service, sorted by (ip, port). ``plain``: all of them are ready and
    none has a hint, so that nothing is to be chosen.
    """

    port_name: str | None
    protocol: str
    endpoints: tuple[BackendEndpoint, ...]
    plain: bool


class PreparedSlice(Object, frozen=True):
    """An EndpointSlice as far as a proxy keeps it: its endpoints in the form that every later product shares."""

    address_type: str = "IPv4"
    ports: tuple[PortEndpoints, ...] = ()

    @property
    def service_key(self) -> ObjectKey | None:
        name = self.labels.get(SERVICE_NAME_LABEL)
        return ObjectKey(self.metadata.namespace, name) if name else None


Slice = EndpointSlice | PreparedSlice


def compile_endpoints(service: Service, slices: Iterable[Slice]) -> tuple[PortEndpoints, ...]:
    """One entry for each port of the Service, in its order; ``slices`` are those labelled with it, of one family."""
    found: dict[tuple[str | None, str], list[PortEndpoints]] = {
        (port.name, port.protocol): [] for port in service.spec.ports or []
    }
    for piece in slices:
        for port in ports_of(piece):
            wanted = found.get(port[:2])
            if wanted is not None:
                wanted.append(port)
    return tuple(pieces[0] if len(pieces) == 1 else _join(*name, pieces) for name, pieces in found.items())


def ports_of(piece: Slice) -> tuple[PortEndpoints, ...]:
    return piece.ports if isinstance(piece, PreparedSlice) else prepare_ports(piece)


def prepare_ports(piece: EndpointSlice) -> tuple[PortEndpoints, ...]:
    """What a slice says of each of its ports. An address that is none of the slice's type is no endpoint. Of a port
    without name or number, and of a slice without ports, the endpoints are told under a name that no Service port has.
    """
    found = [(e.addresses[0], e) for e in piece.endpoints or () if e.addresses]
    known = [(ip, endpoint) for ip, endpoint in found if family_of(ip) == piece.address_type]
    meta = piece.metadata
    origin = Provenance("EndpointSlice", meta.namespace, meta.name, meta.resource_version)
    return tuple(_prepare(port, known, origin) for port in piece.ports or (NO_PORT,))


def is_port(number: int | None) -> bool:
    """What fits into a packet; anything else never reaches the kernel."""
    return number is not None and 0 < number <= 65535


NO_PORT = EndpointPort()


def _prepare(port: EndpointPort, known: Iterable[tuple[str, Endpoint]], origin: Provenance) -> PortEndpoints:
    name, number = (port.name, port.port or 0) if is_port(port.port) else (None, 0)
    found: dict[str, BackendEndpoint] = {}
    plain = True
    for ip, endpoint in known:
        made = _backend(ip, number, endpoint, origin)
        found[ip] = _staying(found[ip], made) if ip in found else made
        plain = plain and made.ready and not endpoint.hints
    return PortEndpoints(name, port.protocol or "TCP", tuple(sorted(found.values())), plain)


def _join(name: str | None, protocol: str, pieces: Iterable[PortEndpoints]) -> PortEndpoints:
    """Of several slices: each ip:port once."""
    found: dict[tuple[str, int], BackendEndpoint] = {}
    plain = True
    for piece in pieces:
        for endpoint in piece.endpoints:
            found[endpoint[:2]] = _staying(found.get(endpoint[:2], endpoint), endpoint)
        plain = plain and piece.plain
    return PortEndpoints(name, protocol, tuple(sorted(found.values())), plain)


def _staying(known: BackendEndpoint, other: BackendEndpoint) -> BackendEndpoint:
    """Which of two with one ip:port counts: the first, unless it alone is on its way out."""
    return other if known.terminating and not other.terminating else known


def _backend(ip: str, port: int, endpoint: Endpoint, origin: Provenance) -> BackendEndpoint:
    conditions, hints = endpoint.conditions, endpoint.hints
    fields = (
        ip,
        port,
        conditions is None or conditions.ready is not False,
        conditions is None or conditions.serving is not False,
        conditions is not None and conditions.terminating is True,
        intern(endpoint.node_name or ""),
        intern(endpoint.zone or ""),
        origin,
        _names(hints.for_zones) if hints else (),
        _names(hints.for_nodes) if hints else (),
    )
    return tuple.__new__(BackendEndpoint, fields)  # a third of what the class takes; there are hundred thousands


def _names(given: list[ForZone] | None) -> tuple[str, ...]:
    return tuple(intern(item.name) for item in given or [])
