"""discovery.k8s.io/v1 EndpointSlice: a slice of the addresses behind a Service."""

from __future__ import annotations

from collections.abc import Callable

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default_pointer, entries, section, text
from seamark.resources.addresses import family_of, validate_endpoint_ip, validate_ip
from seamark.resources.columns import UNSET, some
from seamark.resources.core.service_validation import PROTOCOLS
from seamark.resources.metadata import validate_labels
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ENDPOINTS, MAX_ADDRESSES, MAX_PORTS, MAX_HINTS = 1000, 100, 20000, 8
_DATA = ("endpoints", "ports", "addressType")


def default_slice(obj: Obj) -> None:
    for port in entries(obj, "ports"):
        default_pointer(port, "name", "")
        default_pointer(port, "protocol", "TCP")
    # Go writes both as null when there are none.
    obj.setdefault("endpoints", None)
    obj.setdefault("ports", None)


def prepare_update(new: Obj, old: Obj) -> None:
    """Without a spec, the generation moves with the data and the labels."""
    meta, before = section(new, "metadata"), section(old, "metadata")
    changed = any((new.get(name) or None) != (old.get(name) or None) for name in _DATA)
    if changed or section(meta, "labels") != section(before, "labels"):
        meta["generation"] = (before.get("generation") or 0) + 1


def validate(obj: Obj) -> Causes:
    kind = text(obj, "addressType")
    causes = [field.required("addressType")] if not kind else field.one_of("addressType", kind, ADDRESS_TYPES)
    causes += _validate_ports(entries(obj, "ports"))
    endpoints = entries(obj, "endpoints")
    if len(endpoints) > MAX_ENDPOINTS:
        return [*causes, field.too_many("endpoints", len(endpoints), MAX_ENDPOINTS)]
    for i, endpoint in enumerate(endpoints):
        causes += _validate_endpoint(field.index("endpoints", i), endpoint, kind)
    return causes


def _validate_ports(ports: list[Obj]) -> Causes:
    if len(ports) > MAX_PORTS:
        return [field.too_many("ports", len(ports), MAX_PORTS)]
    causes: Causes = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        path, name = field.index("ports", i), text(port, "name")
        if name:
            causes += field.invalids(f"{path}.name", name, names.validate_dns1123_label(name))
        if name in seen:
            causes.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
        causes += field.one_of(f"{path}.protocol", port.get("protocol", ""), PROTOCOLS)
        if port.get("appProtocol") is not None:
            given = port["appProtocol"]
            causes += field.invalids(f"{path}.appProtocol", given, names.validate_qualified_name(given))
    return causes


def _validate_endpoint(path: str, endpoint: Obj, kind: str) -> Causes:
    addresses = entries(endpoint, "addresses")
    causes: Causes = []
    if not addresses:
        causes.append(field.required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > MAX_ADDRESSES:
        causes.append(field.too_many(f"{path}.addresses", len(addresses), MAX_ADDRESSES))
    for i, address in enumerate(addresses):
        causes += _validate_address(f"{path}.addresses", i, address, kind)
    node, hostname = endpoint.get("nodeName"), endpoint.get("hostname")
    if node is not None:
        causes += field.invalids(f"{path}.nodeName", node, names.validate_dns1123_subdomain(node))
    causes += validate_labels(f"{path}.deprecatedTopology", section(endpoint, "deprecatedTopology"))
    if hostname is not None:
        causes += field.invalids(f"{path}.hostname", hostname, names.validate_dns1123_label(hostname))
    hints = section(endpoint, "hints")
    causes += _validate_hints(f"{path}.hints.forZones", entries(hints, "forZones"), names.validate_label_value)
    return causes + _validate_hints(
        f"{path}.hints.forNodes", entries(hints, "forNodes"), names.validate_dns1123_subdomain
    )


def _validate_hints(path: str, hints: list[Obj], check: Callable[[str], list[str]]) -> Causes:
    if len(hints) > MAX_HINTS:
        return [field.too_many(path, len(hints), MAX_HINTS)]
    causes: Causes = []
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        at, name = f"{path}[{i}].name", text(hint, "name")
        if name in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name)
        causes += field.invalids(at, name, check(name))
    return causes


def _validate_address(path: str, position: int, address: str, kind: str) -> Causes:
    at = field.index(path, position)
    if kind == "FQDN":
        name = address.removesuffix(".")
        causes = field.invalids(at, address, names.validate_dns1123_subdomain(name))
        if not causes and "." not in name:
            causes.append(field.invalid(at, address, "should be a domain with at least two segments separated by dots"))
        return causes
    if kind not in ("IPv4", "IPv6"):
        return []
    causes = validate_ip(at, address)
    if causes:
        return causes
    if family_of(address) != kind:
        article = f"must be an {kind} address"
        causes.append(field.invalid(path, address, article))
    return causes + validate_endpoint_ip(at, address)


def validate_update(new: Obj, old: Obj) -> Causes:
    return field.immutable("addressType", text(new, "addressType"), text(old, "addressType"))


def ports_cell(obj: Obj, now: float) -> str:
    shown = []
    for port in entries(obj, "ports"):
        number, name = port.get("port"), port.get("name")
        shown.append(str(number) if number is not None else str(name) if name is not None else "*")
    return some(shown, empty=UNSET)


def endpoints_cell(obj: Obj, now: float) -> str:
    addresses = [address for endpoint in entries(obj, "endpoints") for address in entries(endpoint, "addresses")]
    return some(addresses, empty=UNSET)


ENDPOINTSLICE = Resource(
    gvr=gvr.ENDPOINTSLICES,
    singular="endpointslice",
    columns=(
        NAME,
        Column("AddressType", cell=lambda obj, now: text(obj, "addressType")),
        Column("Ports", cell=ports_cell),
        Column("Endpoints", cell=endpoints_cell),
        AGE,
    ),
    has_generation=True,
    default=default_slice,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
)
