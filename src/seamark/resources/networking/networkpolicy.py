"""networking.k8s.io/v1 NetworkPolicy: who may talk to a pod. Stored and validated; nothing in Seamark enforces it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from seamark.machinery import gvr, names
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import default_pointer, ensure, entries, section, text
from seamark.resources.addresses import validate_cidr
from seamark.resources.columns import format_selector
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

TYPES = ("Ingress", "Egress")
PROTOCOLS = ("TCP", "UDP", "SCTP")
_SIDES = (("ingress", "from"), ("egress", "to"))


def default_networkpolicy(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    ensure(spec, "podSelector")
    for side, _ in _SIDES:
        for rule in entries(spec, side):
            for port in entries(rule, "ports"):
                default_pointer(port, "protocol", "TCP")
    if not entries(spec, "policyTypes"):
        spec["policyTypes"] = list(TYPES) if entries(spec, "egress") else ["Ingress"]


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_label_selector("spec.podSelector", section(spec, "podSelector"))
    for side, peers in _SIDES:
        for i, rule in enumerate(entries(spec, side)):
            path = field.index(f"spec.{side}", i)
            for j, port in enumerate(entries(rule, "ports")):
                causes += _validate_port(f"{path}.ports[{j}]", port)
            for j, peer in enumerate(entries(rule, peers)):
                causes += _validate_peer(f"{path}.{peers}[{j}]", peer)
    given = entries(spec, "policyTypes")
    if len(given) > len(TYPES):
        detail = "may not specify more than two policyTypes"
        return [*causes, field.invalid("spec.policyTypes", given, detail)]
    for i, kind in enumerate(given):
        if kind not in TYPES:
            causes.append(field.not_supported(field.index("spec.policyTypes", i), kind, TYPES))
    return causes


def _validate_port(path: str, given: Obj) -> Causes:
    causes, port, end = list[Cause](), given.get("port"), given.get("endPort")
    if given.get("protocol") not in PROTOCOLS:
        causes.append(field.not_supported(f"{path}.protocol", given.get("protocol"), PROTOCOLS))
    if port is None:
        if end is not None:
            causes.append(field.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))
        return causes
    if isinstance(port, int):
        return causes + field.port_number(f"{path}.port", port) + _validate_end(f"{path}.endPort", port, end)
    if end is not None:
        causes.append(field.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
    return causes + field.invalids(f"{path}.port", port, names.validate_port_name(port))


def _validate_end(path: str, port: int, end: Any) -> Causes:
    if end is None:
        return []
    causes: Causes = []
    if end < port:
        causes.append(field.invalid(path, port, "must be greater than or equal to `port`"))
    return causes + field.port_number(path, end)


def _validate_peer(path: str, peer: Obj) -> Causes:
    causes: Causes = []
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given:
        if name == "ipBlock":
            causes += _validate_block(f"{path}.ipBlock", peer["ipBlock"])
        else:
            causes += validate_label_selector(f"{path}.{name}", peer[name])
    if not given:
        causes.append(field.required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        causes.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
    return causes


def _validate_block(path: str, block: Obj) -> Causes:
    cidr = text(block, "cidr")
    if not cidr:
        return [field.required(f"{path}.cidr")]
    causes = validate_cidr(f"{path}.cidr", cidr)
    if causes:
        return causes
    whole = ip_network(cidr, strict=False)
    for i, hole in enumerate(entries(block, "except")):
        at = field.index(f"{path}.except", i)
        wrong = validate_cidr(at, hole)
        causes += wrong
        if wrong:
            continue
        part = ip_network(hole, strict=False)
        inside = part.version == whole.version and part.network_address in whole
        if not inside or part.prefixlen <= whole.prefixlen:
            causes.append(field.invalid(at, hole, "must be a strict subset of `cidr`"))
    return causes


NETWORKPOLICY = Resource(
    gvr=gvr.NETWORKPOLICIES,
    singular="networkpolicy",
    short_names=("netpol",),
    columns=(
        NAME,
        Column("Pod-Selector", cell=lambda obj, now: format_selector(section(obj, "spec").get("podSelector"))),
        AGE,
    ),
    has_generation=True,
    default=default_networkpolicy,
    validate=validate,
)
