"""Snapshot -> the names of a cluster zone (product: DnsTable): owner, type, data and where each came from.

The table holds what ``kubernetes`` answers for Services, endpoints, reverse names and pods; records of the apex and
everything that needs the clock or the server's own address (SOA, NS, ``ns.dns``) is the plugin's.

``compile_dnstable`` gives the whole table, ``DnsTable.update`` brings it up to date with one Change at a cost in
proportion to the Service that changed; a property test compares the two. Kinds lag one another: a Service without
slices, slices without their Service (they own reverse names all the same) and objects of a missing namespace are
kept and answer as soon as the rest arrives. Every record carries its object and when that was committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal, TypeVar, cast

from seamark.compile.dnsrecords import (
    NODATA,
    ZONE_LABEL,
    Match,
    NameRecords,
    Naming,
    Record,
    Rrset,
    ServiceNames,
    address_type,
    compile_service,
    parse_address,
    service_owner,
    slice_matches,
)
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import UNKNOWN, ObjectKey, Provenance
from seamark.model.pod import Pod
from seamark.model.service import Service
from seamark.model.snapshot import Change, Snapshot

__all__ = ["DnsOptions", "DnsTable", "NameRecords", "Record", "Rrset", "compile_dnstable"]

K = TypeVar("K")
PodMode = Literal["disabled", "insecure", "verified"]
DEFAULT_NAMING = Naming()


@dataclass(frozen=True, slots=True)
class DnsOptions:
    """``namespaces`` empty = all that exist; ``pods`` is CoreDNS's option of that name."""

    namespaces: frozenset[str] = frozenset()
    pods: PodMode = "disabled"
    naming: Naming = DEFAULT_NAMING


def compile_dnstable(snapshot: Snapshot, options: DnsOptions) -> DnsTable:
    """The table of a whole snapshot; objects get ``committed`` 0, which a snapshot does not know."""
    table = DnsTable(options)
    for key, namespace in snapshot.namespaces.items():
        table.namespaces[key.name] = namespace.provenance()
    for slice_key, item in snapshot.slices.items():
        table._put_slice(slice_key, item, 0.0)
    for service_key, service in snapshot.services.items():
        table._put_service(service_key, service, 0.0)
    for service_key in table._services:
        table._compile(service_key)
    for pod_key, pod in snapshot.pods.items():
        table._put_pod(pod_key, pod, 0.0)
    table.version = 1
    return table


class DnsTable:
    """``version`` moves with every change of an answer, ``modified`` is the commit time of the last one."""

    def __init__(self, options: DnsOptions) -> None:
        self.options = options
        self.version = 0
        self.modified = 0.0
        self.namespaces: dict[str, Provenance] = {}
        self._services: dict[ObjectKey, tuple[Service, Provenance]] = {}
        self._slices: dict[ObjectKey, dict[ObjectKey, tuple[Match, ...]]] = {}
        self._slice_service: dict[ObjectKey, ObjectKey] = {}
        self._slice_endpoints: dict[ObjectKey, int] = {}
        self._names: dict[ObjectKey, ServiceNames] = {}
        self._cluster_ips: dict[str, dict[ObjectKey, Provenance]] = {}
        self._endpoint_ips: dict[str, dict[ObjectKey, tuple[Match, ...]]] = {}
        self._pods: dict[tuple[str, str], dict[ObjectKey, Provenance]] = {}
        self._pod_ips: dict[ObjectKey, tuple[str, ...]] = {}
        self._pods_at: dict[str, dict[ObjectKey, None]] = {}

    # reading

    def find(self, labels: Sequence[str]) -> NameRecords | None:
        """What stands at ``labels`` (lower-case, relative to the zone); None = NXDOMAIN.

        Grammar, from the right: svc|pod, namespace, name, then one label = endpoint, two = port and protocol.
        """
        if not labels or (len(labels) == 1 and labels[0] in ("svc", "pod")):
            return NODATA
        kind, *rest = reversed(labels)
        if kind not in ("svc", "pod") or not self.exposes(rest[0] if rest else ""):
            return None
        if len(rest) > 4 and not (kind == "svc" and rest[2] == ZONE_LABEL):
            return None
        if kind == "pod":
            return self._find_pod(rest)
        if len(rest) == 1:
            return NODATA
        names = self._names.get(ObjectKey(rest[0], rest[1]))
        return names.at(tuple(reversed(rest[2:]))) if names else None

    def reverse(self, address: str) -> tuple[Record, ...]:
        """The PTR records of a canonical address: the Service with that cluster IP, else every endpoint's name.

        Only ``namespaces`` hides them; a slice whose Service is missing still answers.
        """
        owner = ip_address(address).reverse_pointer
        for key, origin in sorted(self._cluster_ips.get(address, {}).items()):
            if self._listed(key.namespace):
                return (Record(owner, "PTR", service_owner(key.namespace, key.name), origin),)
        found: dict[str, Record] = {}
        for slice_key, matches in sorted(self._endpoint_ips.get(address, {}).items()):
            service = self._slice_service[slice_key]
            if not self._listed(service.namespace):
                continue
            for match in matches:
                data = f"{match.host}.{service_owner(service.namespace, service.name)}"
                found.setdefault(data, Record(owner, "PTR", data, match.origin))
        return tuple(found.values())

    def exposes(self, namespace: str) -> bool:
        return namespace in self.namespaces and self._listed(namespace)

    def services_at(self, address: str) -> Iterator[tuple[ObjectKey, Service]]:
        """The Services with an endpoint at ``address``: how a server finds the names of itself."""
        keys = {self._slice_service[key] for key in self._endpoint_ips.get(address, {})}
        for key in sorted(keys):
            if key in self._services:
                yield key, self._services[key][0]

    def pod_at(self, address: str) -> ObjectKey | None:
        """The pod with that address (``pods verified``)."""
        return next(iter(self._pods_at.get(address, ())), None)

    def service(self, key: ObjectKey) -> Service | None:
        found = self._services.get(key)
        return found[0] if found else None

    def services(self) -> Iterator[tuple[ObjectKey, Service]]:
        for key, (service, _) in self._services.items():
            yield key, service

    def slices_of(self, service: ObjectKey) -> Iterator[tuple[Match, ...]]:
        for _, matches in sorted(self._slices.get(service, {}).items()):
            yield matches

    def endpoints_of(self, service: ObjectKey) -> Iterator[Match]:
        """The ready matches of a Service's slices, by slice name."""
        for _, matches in sorted(self._slices.get(service, {}).items()):
            yield from matches

    def endpoint_count(self, service: ObjectKey) -> int:
        """How many endpoints the Service's slices hold, ready or not."""
        return sum(self._slice_endpoints[key] for key in self._slices.get(service, ()))

    def records(self) -> Iterator[Record]:
        """Every record a listing shows: exposed Services in order, then reverse names, then verified pods."""
        for key in sorted(self._names):
            if not self.exposes(key.namespace):
                continue
            names = self._names[key]
            for labels in names.names():
                found = names.at(labels) or NODATA
                for records in found.answers.values():
                    yield from records
        for address in sorted({*self._cluster_ips, *self._endpoint_ips}):
            yield from self.reverse(address)
        for namespace, address in sorted(self._pods):
            if self.exposes(namespace):
                yield self._pod_record(namespace, address, "", self._pods[namespace, address])

    @property
    def content(self) -> object:
        """Everything that decides an answer, origins included; equal content answers equally."""
        return (
            self.namespaces,
            self._names,
            self._cluster_ips,
            self._endpoint_ips,
            self._pods,
        )

    # updating

    def update(self, change: Change) -> bool:
        """Brings the table up to date; True if any answer (not merely an origin) changed."""
        changed = getattr(self, f"_update_{change.kind.lower()}", _ignore)(change)
        if changed:
            self.version += 1
            if change.kind != "Namespace":
                self.modified = max(self.modified, change.committed)
        return bool(changed)

    def _update_namespace(self, change: Change) -> bool:
        name = change.key.name
        was = name in self.namespaces
        if change.new is None:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = change.new.provenance(change.committed)
        return was != (change.new is not None)

    def _update_service(self, change: Change) -> bool:
        before = self._content(change.key)
        self._drop_service(change.key)
        if change.new is not None:
            self._put_service(change.key, cast(Service, change.new), change.committed)
        self._compile(change.key)
        return before != self._content(change.key)

    def _update_endpointslice(self, change: Change) -> bool:
        """A slice may move to another Service by its label, so both are compiled anew."""
        item = cast("EndpointSlice | None", change.new)
        touched = {key for key in (self._slice_service.get(change.key), item and item.service_key) if key}
        before = [(self._content(key), self._visible(change.key)) for key in sorted(touched)]
        self._drop_slice(change.key)
        if item is not None:
            self._put_slice(change.key, item, change.committed)
        for key in touched:
            self._compile(key)
        return before != [(self._content(key), self._visible(change.key)) for key in sorted(touched)]

    def _update_pod(self, change: Change) -> bool:
        before = self._pod_ips.pop(change.key, ())
        for address in before:
            _remove(self._pods, (change.key.namespace, address), change.key)
            _remove(self._pods_at, address, change.key)
        if change.new is not None:
            self._put_pod(change.key, cast(Pod, change.new), change.committed)
        return before != self._pod_ips.get(change.key, ())

    def _put_service(self, key: ObjectKey, service: Service, committed: float) -> None:
        origin = service.provenance(committed)
        self._services[key] = (service, origin)
        if service.spec.type != "ExternalName":
            for address in service.cluster_ips:
                if parse_address(address) is not None:
                    self._cluster_ips.setdefault(_canonical(address), {})[key] = origin

    def _drop_service(self, key: ObjectKey) -> None:
        old = self._services.pop(key, None)
        for address in old[0].cluster_ips if old else ():
            _remove(self._cluster_ips, _canonical(address), key)

    def _put_slice(self, key: ObjectKey, item: EndpointSlice, committed: float) -> None:
        service = item.service_key
        if service is None:
            return
        matches = tuple(slice_matches(item, item.provenance(committed), self.options.naming))
        self._slice_service[key] = service
        self._slice_endpoints[key] = len(item.endpoints or [])
        self._slices.setdefault(service, {})[key] = matches
        by_address: dict[str, dict[str, Match]] = {}
        for match in matches:
            by_address.setdefault(_canonical(match.address), {}).setdefault(match.host, match)
        for address, hosts in by_address.items():
            self._endpoint_ips.setdefault(address, {})[key] = tuple(hosts.values())

    def _drop_slice(self, key: ObjectKey) -> None:
        service = self._slice_service.pop(key, None)
        if service is None:
            return
        del self._slice_endpoints[key]
        matches = self._slices[service].pop(key)
        if not self._slices[service]:
            del self._slices[service]
        for address in {_canonical(match.address) for match in matches}:
            _remove(self._endpoint_ips, address, key)

    def _put_pod(self, key: ObjectKey, pod: Pod, committed: float) -> None:
        addresses = _pod_ips(pod) if self.options.pods == "verified" else ()
        if addresses:
            self._pod_ips[key] = addresses
        for address in addresses:
            self._pods.setdefault((key.namespace, address), {})[key] = pod.provenance(committed)
            self._pods_at.setdefault(address, {})[key] = None

    def _compile(self, key: ObjectKey) -> None:
        found = self._services.get(key)
        if found is None:
            self._names.pop(key, None)
            return
        self._names[key] = compile_service(*found, self.endpoints_of(key), self.options.naming)

    def _content(self, key: ObjectKey) -> object:
        names = self._names.get(key)
        addresses = self._services[key][0].cluster_ips if key in self._services else ()
        return (names.content, addresses) if names else None

    def _visible(self, slice_key: ObjectKey) -> object:
        """What a slice contributes to reverse names."""
        service = self._slice_service.get(slice_key)
        return service and (service, [m[:3] for m in self._slices[service][slice_key]])

    def _listed(self, namespace: str) -> bool:
        return not self.options.namespaces or namespace in self.options.namespaces

    # pods

    def _find_pod(self, rest: list[str]) -> NameRecords | None:
        """Labels left of the pod's name are ignored, as CoreDNS does."""
        if self.options.pods == "disabled":
            return None
        if len(rest) == 1:
            return NODATA
        namespace, name = rest[0], rest[1]
        spelled = _undashed(name)
        if self.options.pods == "verified":
            holders = self._pods.get((namespace, spelled))
            return self._pod_records(namespace, spelled, rest, holders) if holders else None
        return self._pod_records(namespace, spelled, rest, None) if _go_parses(spelled) else None

    def _pod_records(
        self, namespace: str, address: str, rest: list[str], holders: dict[ObjectKey, Provenance] | None
    ) -> NameRecords:
        """The address at the name asked, and an SRV of port 0 that points to the pod's own name."""
        target = f"{rest[1]}.{namespace}.pod"
        at = ".".join((*reversed(rest[2:]), target))
        record = self._pod_record(namespace, address, at, holders or {})
        srv = Record(at, "SRV", f"0 100 0 {target}", record.origin)
        return NameRecords({record.rdtype: (record,), "SRV": (srv,)}, (record._replace(owner=target),))

    def _pod_record(self, namespace: str, address: str, at: str, holders: dict[ObjectKey, Provenance]) -> Record:
        origin = min(holders.items())[1] if holders else UNKNOWN
        owner = at or f"{address.replace('.', '-').replace(':', '-')}.{namespace}.pod"
        parsed = ip_address(address)
        mapped = parsed.ipv4_mapped if parsed.version == 6 else None
        if mapped is not None:  # Go's net.IP makes no difference, so CoreDNS answers A
            return Record(owner, "A", str(mapped), origin)
        return Record(owner, address_type(address) or "A", address, origin)


def _pod_ips(pod: Pod) -> tuple[str, ...]:
    """The addresses DNS verifies against: none once a pod has ended or is being deleted."""
    if pod.is_terminating or pod.status.phase in ("Succeeded", "Failed", "Unknown"):
        return ()
    return tuple(address for address in pod.ips if parse_address(address) is not None)


def _undashed(name: str) -> str:
    """``10-0-0-1`` is IPv4 (three dashes, none doubled), all else is read as IPv6."""
    return name.replace("-", "." if name.count("-") == 3 and "--" not in name else ":")


def _go_parses(address: str) -> bool:
    """net.ParseIP, which refuses zones."""
    return "%" not in address and parse_address(address) is not None


def _canonical(address: str) -> str:
    parsed = parse_address(address)
    return str(parsed) if parsed else address


def _remove(index: dict[K, dict[ObjectKey, Any]], at: K, key: ObjectKey) -> None:
    holders = index.get(at, {})
    holders.pop(key, None)
    if not holders:
        index.pop(at, None)


def _ignore(change: Change) -> bool:
    return False
