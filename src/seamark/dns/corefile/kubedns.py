"""The ConfigMap of kube-dns -> a Corefile that answers the same clients. Pure.

``stubDomains`` become server blocks of their own, ``upstreamNameservers`` take the place of /etc/resolv.conf.
``federations`` have no successor: CoreDNS dropped the plugin in 1.7; they are told as a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from seamark.dns.corefile.address import split_address

KNOWN = ("stubDomains", "upstreamNameservers", "federations")
MAX_UPSTREAMS = 3
MAIN = """.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    forward . {upstreams}
    cache 30
    loop
    reload
    loadbalance
}}
"""
STUB = """
{domain}:53 {{
    errors
    cache 30
    loop
    forward . {upstreams}
}}
"""


class KubeDnsError(Exception):
    """Names the key of the ConfigMap, the value and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Translated:
    text: str
    warnings: tuple[str, ...] = ()


def translate(data: Mapping[str, str], domain: str) -> Translated:
    """Raises KubeDnsError."""
    warnings = [f"{key}: kube-dns knows no such key; it is left out" for key in data if key not in KNOWN]
    stubs = _read(data, "stubDomains", dict)
    upstreams = _read(data, "upstreamNameservers", list)
    if len(upstreams) > MAX_UPSTREAMS:
        raise KubeDnsError(f"upstreamNameservers: {len(upstreams)} servers; kube-dns allows {MAX_UPSTREAMS}")
    gone = "federations have no successor in CoreDNS and are left out"
    warnings += [f"federations: {name}: {gone}" for name in _read(data, "federations", dict)]
    main = [_server("upstreamNameservers", value) for value in upstreams] or ["/etc/resolv.conf"]
    found = [MAIN.format(domain=domain.rstrip("."), upstreams=" ".join(main))]
    for stub, servers in sorted(stubs.items()):
        if not isinstance(servers, list) or not servers:
            raise KubeDnsError(f"stubDomains: {stub}: {servers!r} has to be a list of addresses")
        chosen = [_server(f"stubDomains: {stub}", value) for value in servers]
        found.append(STUB.format(domain=stub.rstrip("."), upstreams=" ".join(chosen)))
    return Translated("".join(found), tuple(warnings))


def _read(data: Mapping[str, str], key: str, kind: type[Any]) -> Any:
    """A value is JSON in a string; a missing or empty one is empty."""
    text = data.get(key) or ""
    if not text.strip():
        return kind()
    try:
        found = json.loads(text)
    except ValueError as error:
        raise KubeDnsError(f"{key}: not JSON: {error}") from None
    if not isinstance(found, kind):
        wanted = "an object" if kind is dict else "a list"
        raise KubeDnsError(f"{key}: has to be {wanted}, not {text.strip()}")
    return found


def _server(where: str, value: object) -> str:
    try:
        host, port = split_address(str(value))
        address = str(ip_address(host))
    except ValueError:
        raise KubeDnsError(
            f"{where}: {value!r} is not an address: write the server's address; names of servers are not resolved here"
        ) from None
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
