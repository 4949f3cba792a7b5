"""All records of a zone, as CoreDNS transfers them: Services by name; no reverse names, pods or version. Pure.

A ClusterIP Service has weight 100 everywhere; an endpoint of a headless one its share of its slice.
"""

from __future__ import annotations

from collections.abc import Iterator

import dns.name
import dns.rrset

from seamark.compile.dnsrecords import NO_PORT, Match, Record, address_type, service_owner
from seamark.compile.dnstable import DnsTable
from seamark.dns.plugins.kubernetes.records import name_below, rrset_at
from seamark.model.meta import UNKNOWN, ObjectKey
from seamark.model.service import Service


def transferred(table: DnsTable, zone: dns.name.Name, ttl: int) -> list[dns.rrset.RRset]:
    """One rrset a record."""
    found = []
    for key, service in sorted(table.services(), key=lambda pair: (pair[0].name, pair[0].namespace)):
        if table.exposes(key.namespace):
            found += [
                rrset
                for record in _records(table, key, service)
                for rrset in rrset_at(name_below(record.owner, zone), ttl, [record], zone)
            ]
    return found


def _records(table: DnsTable, key: ObjectKey, service: Service) -> Iterator[Record]:
    owner = service_owner(key.namespace, key.name)
    if service.spec.type == "ExternalName":
        records = table.find((key.name, key.namespace, "svc"))
        yield from records.answers.get("CNAME", ()) if records is not None else ()
        return
    for address in service.cluster_ips:
        yield _record(owner, address_type(address) or "A", address)
    if service.cluster_ips:
        for port in service.spec.ports or []:
            data = f"0 100 {port.port} {owner}"
            yield _record(owner, "SRV", data)
            if port.name:
                yield _record(f"_{port.name}._{port.protocol}.{owner}".lower(), "SRV", data)
        return
    yield from _endpoints(table, key, owner)


def _endpoints(table: DnsTable, key: ObjectKey, owner: str) -> Iterator[Record]:
    for matches in table.slices_of(key):
        weight = max(1, 100 // max(_count_addresses(matches), 1))
        told: set[tuple[str, str]] = set()
        for match in matches:
            host = f"{match.host}.{owner}"
            if (host, match.address) not in told:
                told.add((host, match.address))
                yield _record(owner, match.rdtype, match.address)
                yield _record(host, match.rdtype, match.address)
            if match.port_name and match.port != NO_PORT:
                name = f"_{match.port_name}._{match.protocol}.{owner}"
                yield _record(name, "SRV", f"0 {weight} {match.port} {host}")


def _count_addresses(matches: tuple[Match, ...]) -> int:
    """Of one slice, however often an address stands in it (as CoreDNS): each has a match for every port."""
    return sum((m.port, m.port_name, m.protocol) == (*matches[0][3:6],) for m in matches)


def _record(owner: str, rdtype: str, data: str) -> Record:
    return Record(owner, rdtype, data, UNKNOWN)
