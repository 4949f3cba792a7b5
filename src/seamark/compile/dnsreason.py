"""Why a name of a cluster zone has no answer, in one sentence: what extended DNS errors carry (RFC 8914). Pure.

It reads the table that denied the name, so it cannot say anything else than what the answer was made of.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.compile.dnstable import DnsTable
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

MAX_LISTED = 8


def reason(table: DnsTable, labels: Sequence[str], rdtype: str) -> str:
    """``labels`` are lower-case and relative to the zone; empty where there is nothing to add."""
    if not labels or labels[-1] not in ("svc", "pod"):
        return "names here are SERVICE.NAMESPACE.svc and ADDRESS.NAMESPACE.pod" if labels else ""
    kind, *rest = reversed(labels)
    if not rest:
        return ""
    namespace = rest[0]
    if namespace not in table.namespaces:
        return f"there is no namespace {namespace}"
    if not table.exposes(namespace):
        return f"namespace {namespace} is not among those that are served"
    if len(rest) == 1:
        return ""
    if kind == "pod":
        return _pod(table, namespace, rest[1])
    return _service(table, ObjectKey(namespace, rest[1]), tuple(reversed(rest[2:])), rdtype)


def _pod(table: DnsTable, namespace: str, name: str) -> str:
    if table.options.pods == "disabled":
        return "names of pods are off (pods disabled)"
    if table.options.pods == "verified":
        return f"no running pod of namespace {namespace} has the address {name}"
    return f"{name} is not an address"


def _service(table: DnsTable, key: ObjectKey, left: tuple[str, ...], rdtype: str) -> str:
    service = table.service(key)
    name = f"Service {key.namespace}/{key.name}"
    if service is None:
        return f"there is no {name}"
    if service.spec.type == "ExternalName":
        return f"{name} is an alias to {service.spec.external_name}" + (" and has no names below it" if left else "")
    matches = list(table.endpoints_of(key))
    if not matches and (service.is_headless or left[1:] == ()) and (service.is_headless or left):
        return f"{name} has no ready endpoints (0 of {table.endpoint_count(key)})"
    if len(left) == 1:
        hosts = sorted({match.host for match in matches})
        return f"{name} has no endpoint named {left[0]}; it has: {_listed(hosts)}"
    if len(left) == 2:
        ports = _ports(service) if not service.is_headless else {(m.port_name, m.protocol, m.port) for m in matches}
        port, protocol = (label.removeprefix("_") for label in left)
        if not any(port in ("", known) and protocol in ("", spoken) for known, spoken, _ in ports):
            told = sorted(f"{known or 'unnamed'}/{spoken} {number}" for known, spoken, number in ports)
            return f"{name} has no port named {port} over {protocol}; it has: {_listed(told)}"
    if len(left) > 2:
        return f"{name} has no names that long"
    found = table.find((*left, key.name, key.namespace, "svc"))
    kinds = sorted(found.answers) if found is not None else []
    return f"{name} has no {rdtype} record here; it has: {_listed(kinds)}"


def _ports(service: Service) -> set[tuple[str, str, int]]:
    return {(port.name.lower(), port.protocol.lower(), port.port) for port in service.spec.ports or []}


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(words[:MAX_LISTED]) or "none"
    return shown if len(words) <= MAX_LISTED else f"{shown} and {len(words) - MAX_LISTED} more"
