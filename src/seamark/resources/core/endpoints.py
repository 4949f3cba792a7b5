"""core/v1 Endpoints: the older list of a Service's addresses, deprecated for EndpointSlice."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default, drop_empty, entries, text
from seamark.resources.addresses import validate_endpoint_ip, validate_ip
from seamark.resources.columns import NONE, SHOWN
from seamark.resources.core.service_validation import PROTOCOLS
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

DEPRECATED = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


def default_endpoints(obj: Obj) -> None:
    for subset in entries(obj, "subsets"):
        for port in entries(subset, "ports"):
            default(port, "protocol", "TCP")
    drop_empty(obj, "subsets")


def validate(obj: Obj) -> Causes:
    causes: Causes = []
    for i, subset in enumerate(entries(obj, "subsets")):
        path = field.index("subsets", i)
        if not entries(subset, "addresses") and not entries(subset, "notReadyAddresses"):
            causes.append(field.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for kind in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(entries(subset, kind)):
                causes += _validate_address(f"{path}.{kind}[{j}]", address)
        ports = entries(subset, "ports")
        for j, port in enumerate(ports):
            causes += _validate_port(f"{path}.ports[{j}]", port, is_one_of_many=len(ports) > 1)
    return causes


def _validate_address(path: str, address: Obj) -> Causes:
    ip, hostname, node = text(address, "ip"), text(address, "hostname"), address.get("nodeName")
    causes = validate_ip(f"{path}.ip", ip)
    if hostname:
        causes += field.invalids(f"{path}.hostname", hostname, names.validate_dns1123_label(hostname))
    if node is not None:
        causes += field.invalids(f"{path}.nodeName", node, names.validate_dns1123_subdomain(node))
    return causes + validate_endpoint_ip(f"{path}.ip", ip)


def _validate_port(path: str, port: Obj, *, is_one_of_many: bool) -> Causes:
    name = text(port, "name")
    causes: Causes = []
    if name:
        causes += field.invalids(f"{path}.name", name, names.validate_dns1123_label(name))
    elif is_one_of_many:
        causes.append(field.required(f"{path}.name"))
    causes += field.port_number(f"{path}.port", port.get("port") or 0)
    causes += field.one_of(f"{path}.protocol", port.get("protocol", ""), PROTOCOLS)
    protocol = port.get("appProtocol")
    if protocol is not None:
        causes += field.invalids(f"{path}.appProtocol", protocol, names.validate_qualified_name(protocol))
    return causes


def endpoints_cell(obj: Obj, now: float) -> str:
    """Ready addresses alone, once per port: ``10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...``."""
    shown = []
    for subset in entries(obj, "subsets"):
        addresses = [text(address, "ip") for address in entries(subset, "addresses")]
        ports = entries(subset, "ports")
        for port in ports:
            shown += [f"[{ip}]:{port.get('port')}" if ":" in ip else f"{ip}:{port.get('port')}" for ip in addresses]
        if not ports:
            shown += addresses
    if not entries(obj, "subsets"):
        return NONE
    more = len(shown) - SHOWN
    return ",".join(shown[:SHOWN]) + (f" + {more} more..." if more > 0 else "")


ENDPOINTS = Resource(
    gvr=gvr.ENDPOINTS,
    singular="endpoints",
    short_names=("ep",),
    columns=(NAME, Column("Endpoints", cell=endpoints_cell), AGE),
    allows_create_on_update=True,
    deprecated=DEPRECATED,
    default=default_endpoints,
    validate=validate,
)
