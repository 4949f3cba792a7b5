"""One Service and its slices -> the records at its name, at its port names and at its endpoints' names.

The unit is a *match*: one (address, port) that a name stands for, as CoreDNS's kubernetes plugin counts them; SRV
weights divide by the matches before equal targets merge. Names are rendered when first asked for and kept, so that
an update of a Service with a thousand endpoints costs a walk over them and no more.

Owners and data are relative to the zone and lower-case; data that ends in a dot is absolute. Port -1 stands for "no
port": addresses yes, SRV never. Source: the Kubernetes DNS specification 1.1.0 and what CoreDNS 1.15 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from seamark.model.endpointslice import Endpoint, EndpointSlice
from seamark.model.meta import Provenance
from seamark.model.service import Service

MAX_LABEL = 63
NO_PORT = -1

Labels = tuple[str, ...]
"""Labels left of the service's own name: () the service, (host,) an endpoint, (_port, _protocol) a port."""


class Record(NamedTuple):
    """One record below the zone. ``owner`` is relative and lower-case (``web.default.svc``); ``data`` is
    presentation form without the zone (``0 100 80 web.default.svc``), absolute where it ends in a dot.
    """

    owner: str
    rdtype: str
    data: str
    origin: Provenance


class Rrset(NamedTuple):
    owner: str
    rdtype: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class NameRecords:
    """What stands at one owner: records by type, and the address records that go with its SRV.

    No records at all is a name that exists and answers NODATA to every type.
    """

    answers: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    additional: tuple[Record, ...] = ()

    def rrset(self, owner: str, rdtype: str) -> Rrset:
        return Rrset(owner, rdtype, self.answers.get(rdtype, ()))


NODATA = NameRecords()
NODATA_IN_ZONE = NameRecords()
"""Of its own, so that it is told from an empty namespace, which TXT takes for missing."""
ZONE_LABEL = "_zone"


class Match(NamedTuple):
    """One (address, port) behind a name. ``host`` is the endpoint's label, empty for a cluster IP."""

    host: str
    address: str
    rdtype: str
    port: int
    port_name: str
    protocol: str
    zone: str
    origin: Provenance


class Naming(NamedTuple):
    """The options that change names (CoreDNS: ``endpoint_pod_names``, ``ignore empty_service``, ``zonal``).

    ``multicluster``: two labels left of a Service are an endpoint and its cluster unless one has an underscore.
    """

    endpoint_pod_names: bool = False
    ignore_empty_service: bool = False
    zonal: bool = False
    multicluster: bool = False


class ServiceNames:
    """Everything below one Service. Compares by content, so that an update can be checked against a full compile."""

    __slots__ = ("_hosts", "_matches", "_naming", "_rendered", "alias", "is_headless", "owner")

    def __init__(
        self,
        owner: str,
        *,
        matches: tuple[Match, ...] = (),
        hosts: Mapping[str, tuple[Match, ...]] | None = None,
        alias: Record | None = None,
        naming: Naming = Naming(),  # noqa: B008 - a tuple
        is_headless: bool = False,
    ) -> None:
        self.owner = owner
        self.alias = alias
        self.is_headless = is_headless
        self._naming = naming
        self._matches = matches
        self._hosts = hosts or {}
        self._rendered: dict[Labels, NameRecords | None] = {}

    def at(self, labels: Labels) -> NameRecords | None:
        """The records at ``labels`` below the Service; None = no such name."""
        if labels not in self._rendered:
            found = self._render(labels)
            if found is None:
                return None  # not kept: made-up names must not grow the table
            self._rendered[labels] = found
        return self._rendered[labels]

    def _render(self, labels: Labels) -> NameRecords | None:
        if self.alias is not None:
            is_bare = not labels or (len(labels) == 2 and all(label in ("", "_") for label in labels))
            return NameRecords({"CNAME": (self.alias,)}) if is_bare else None
        if len(labels) > 2:
            return self._zonal(labels)
        if len(labels) == 1:
            matches = self._hosts.get(labels[0], ())
        elif self._naming.multicluster and len(labels) == 2 and not any(label.startswith("_") for label in labels):
            matches = self._hosts.get(".".join(labels), ())
        elif len(labels) == 2:
            matches = tuple(m for m in self._matches if _port_matches(m, *labels))
        else:
            matches = self._matches if not labels else ()
        return _records(self.owner, labels, matches) if matches else None

    def _zonal(self, labels: Labels) -> NameRecords | None:
        """``ZONE.pin|prefer._zone``: the endpoints of one topology zone. None left: NODATA for pin, all for prefer."""
        *zone, directive, anchor = labels
        if not (self._naming.zonal and self.is_headless and anchor == ZONE_LABEL and directive in ("pin", "prefer")):
            return None
        matches = tuple(m for m in self._matches if m.zone == ".".join(zone))
        if not matches and directive == "prefer":
            matches = self._matches
        return _records(self.owner, labels, matches) if matches else NODATA_IN_ZONE

    def names(self) -> Iterator[Labels]:
        """The owners that a listing shows: the Service, its named ports, its endpoints."""
        if self.alias is not None or self._matches:
            yield ()
        named = {(f"_{m.port_name}", f"_{m.protocol}"): None for m in self._matches if m.port_name}
        yield from named
        yield from ((host,) for host in self._hosts)

    @property
    def content(self) -> object:
        """What clients can see of it: everything but the origins."""
        hosts = {host: [m[:7] for m in matches] for host, matches in self._hosts.items()}
        return (self.alias and self.alias.data, self.is_headless, [m[:7] for m in self._matches], hosts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServiceNames):
            return NotImplemented
        return (self.owner, self.is_headless, self.alias, self._matches, self._hosts) == (
            other.owner,
            other.is_headless,
            other.alias,
            other._matches,
            other._hosts,
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content


def compile_service(service: Service, origin: Provenance, endpoints: Iterable[Match], naming: Naming) -> ServiceNames:
    """The names of one Service; ``endpoints`` are the matches of its slices, in order."""
    owner = service_owner(service.metadata.namespace, service.metadata.name)
    if service.spec.type == "ExternalName":
        target = service.spec.external_name
        if not target or parse_address(target) is not None:
            return ServiceNames(owner)
        return ServiceNames(owner, alias=Record(owner, "CNAME", _absolute(target), origin))
    ready = tuple(endpoints)
    if naming.ignore_empty_service and not ready and not service.is_headless:
        return ServiceNames(owner)
    hosts: dict[str, list[Match]] = {}
    for match in ready:
        hosts.setdefault(match.host, []).append(match)
    return ServiceNames(
        owner,
        matches=ready if service.is_headless else tuple(_cluster_matches(service, origin)),
        hosts={host: tuple(found) for host, found in hosts.items()},
        naming=naming,
        is_headless=service.is_headless,
    )


def slice_matches(item: EndpointSlice, origin: Provenance, naming: Naming) -> Iterator[Match]:
    """The ready (address, port) pairs of a slice. ``conditions.ready`` unset counts as ready (discovery/v1)."""
    ports = [
        (p.port if p.port is not None else NO_PORT, (p.name or "").lower(), (p.protocol or "").lower())
        for p in item.ports or []
    ] or [(NO_PORT, "", "")]
    for endpoint in item.endpoints or []:
        if not endpoint.is_ready:
            continue
        for address in endpoint.addresses or []:
            rdtype = address_type(address)
            if rdtype is None:
                continue
            host = endpoint_host(endpoint, address, naming)
            for number, name, protocol in ports:
                yield Match(host, address, rdtype, number, name, protocol, endpoint.zone or "", origin)


def endpoint_host(endpoint: Endpoint, address: str, naming: Naming) -> str:
    """The endpoint's label: hostname, else (``endpoint_pod_names``) the pod, else the address with dashes."""
    if endpoint.hostname:
        return endpoint.hostname.lower()
    target = endpoint.target_ref.name if endpoint.target_ref else ""
    if naming.endpoint_pod_names and target and len(target) <= MAX_LABEL:
        return target.lower()
    dashed = address.replace(".", "-").replace(":", "-")
    return dashed + "0" if dashed.endswith("-") else dashed


def service_owner(namespace: str, name: str) -> str:
    return f"{name}.{namespace}.svc"


def address_type(address: str) -> str | None:
    parsed = parse_address(address)
    return None if parsed is None else "A" if parsed.version == 4 else "AAAA"


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _cluster_matches(service: Service, origin: Provenance) -> Iterator[Match]:
    """A Service that has no address yet matches with none: its names exist and hold nothing."""
    ports = [(p.port, p.name.lower(), p.protocol.lower()) for p in service.spec.ports or []] or [(NO_PORT, "", "")]
    for number, name, protocol in ports:
        for address in service.cluster_ips or ("",):
            yield Match("", address, address_type(address) or "", number, name, protocol, "", origin)


def _port_matches(match: Match, port: str, protocol: str) -> bool:
    """Both labels with one underscore stripped; what is then empty matches anything."""
    port, protocol = port.removeprefix("_"), protocol.removeprefix("_")
    return port in ("", match.port_name) and protocol in ("", match.protocol)


def _records(owner: str, labels: Labels, matches: tuple[Match, ...]) -> NameRecords:
    """Equal addresses count once, equal (target, port) pairs too; the weight counts all of them."""
    at = ".".join((*labels, owner))
    weight = max(1, 100 // len(matches))
    answers: dict[str, dict[str, Record]] = {}
    additional: dict[tuple[str, str], Record] = {}
    for match in matches:
        if not match.rdtype:
            continue
        answers.setdefault(match.rdtype, {}).setdefault(
            match.address, Record(at, match.rdtype, match.address, match.origin)
        )
        if match.port == NO_PORT:
            continue
        target = f"{match.host}.{owner}" if match.host else owner
        data = f"0 {weight} {match.port} {target}"
        answers.setdefault("SRV", {}).setdefault(data, Record(at, "SRV", data, match.origin))
        additional.setdefault((target, match.address), Record(target, match.rdtype, match.address, match.origin))
    return NameRecords({rdtype: tuple(found.values()) for rdtype, found in answers.items()}, tuple(additional.values()))


def _absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."
