"""Which names lead to this server: the Services with one of its own addresses among their endpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import dns.name

from seamark.compile.dnsrecords import address_type, service_owner
from seamark.compile.dnstable import DnsTable
from seamark.dns.plugins.kubernetes.records import name_below

Server = tuple[dns.name.Name, str, str]
"""Name, A or AAAA, address."""


def find_servers(table: DnsTable, own: Iterable[str], zone: dns.name.Name) -> list[Server]:
    """A cluster IP stands for its Service, an endpoint of a headless one for itself; without any Service, ``ns.dns``
    stands for the own addresses.
    """
    own = tuple(own)
    found: dict[Server, None] = {}
    for address in own:
        for key, service in table.services_at(address):
            owner = service_owner(key.namespace, key.name)
            if service.is_headless:
                pairs = [(f"{match.host}.{owner}", match.address) for match in table.endpoints_of(key)]
            else:
                pairs = [(owner, ip) for ip in service.cluster_ips]
            for name, ip in pairs:
                found[name_below(name, zone), address_type(ip) or "A", ip] = None
    if found:
        return list(found)
    return [(name_below("ns.dns", zone), address_type(address) or "A", address) for address in own]
