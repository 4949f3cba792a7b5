"""networking.k8s.io/v1 Ingress: HTTP hosts and paths before Services. Stored and validated; a controller acts on it."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import ensure, entries, keep, section, text
from seamark.resources.addresses import parse_ip, validate_ip
from seamark.resources.columns import NONE
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
NO_IP = "must be a DNS name, not an IP address"
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_END = ("/..", "/.")
_WIDTH, _HOSTS = 16, 3


def default_ingress(obj: Obj) -> None:
    ensure(obj, "spec")
    ensure(ensure(obj, "status"), "loadBalancer")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {"loadBalancer": {}}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec, causes = section(obj, "spec"), list[Cause]()
    rules, backend = entries(spec, "rules"), spec.get("defaultBackend")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        causes.append(field.invalid("spec", spec.get("rules"), detail))
    if backend is not None:
        causes += _validate_backend("spec.defaultBackend", backend)
    for i, rule in enumerate(rules):
        causes += _validate_rule(field.index("spec.rules", i), rule)
    for i, tls in enumerate(entries(spec, "tls")):
        path = field.index("spec.tls", i)
        for j, host in enumerate(entries(tls, "hosts")):
            causes += _validate_host(f"{path}.hosts[{j}]", host)
        secret = text(tls, "secretName")
        if secret:
            causes += field.invalids(f"{path}.secretName", secret, names.validate_dns1123_subdomain(secret))
    name = spec.get("ingressClassName")
    if name is not None:
        causes += field.invalids("spec.ingressClassName", name, names.validate_dns1123_subdomain(name))
    return causes


def _validate_host(path: str, host: str) -> Causes:
    check = names.validate_wildcard_subdomain if "*" in host else names.validate_dns1123_subdomain
    return field.invalids(path, host, check(host))


def _validate_rule(path: str, rule: Obj) -> Causes:
    host, http = text(rule, "host"), rule.get("http")
    causes: Causes = []
    if host:
        if parse_ip(host) is not None:
            causes.append(field.invalid(f"{path}.host", host, NO_IP))
        causes += _validate_host(f"{path}.host", host)
    if http is None:
        return causes
    if not entries(http, "paths"):
        causes.append(field.required(f"{path}.http.paths"))
    for i, one in enumerate(entries(http, "paths")):
        causes += _validate_path(f"{path}.http.paths[{i}]", one)
    return causes


def _validate_path(path: str, one: Obj) -> Causes:
    kind, given = one.get("pathType"), text(one, "path")
    if kind is None:
        return [field.required(f"{path}.pathType", "pathType must be specified")]
    causes: Causes = []
    if kind not in PATH_TYPES:
        causes.append(field.not_supported(f"{path}.pathType", kind, PATH_TYPES))
    elif not given.startswith("/") and (given or kind != "ImplementationSpecific"):
        causes.append(field.invalid(f"{path}.path", given, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        bad = [f"must not contain '{part}'" for part in _NOT_IN_PATHS if part in given]
        bad += [f"cannot end with '{part}'" for part in _NOT_AT_END if given.endswith(part)]
        causes += field.invalids(f"{path}.path", given, bad)
    return causes + _validate_backend(f"{path}.backend", section(one, "backend"))


def _validate_backend(path: str, backend: Obj) -> Causes:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [field.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return validate_reference(f"{path}.resource", resource)
    if service is None:
        return [field.invalid(path, "", "resource or service backend is required")]
    causes, name, at = list[Cause](), text(service, "name"), f"{path}.service"
    if not name:
        causes.append(field.required(f"{at}.name"))
    else:
        causes += field.invalids(f"{at}.name", name, names.validate_dns1123_label(name))
    port_name, number = text(service, "port", "name"), section(service, "port").get("number") or 0
    if port_name and number:
        causes.append(field.invalid(path, "", "cannot set both port name & port number"))
    elif port_name:
        causes += field.invalids(f"{at}.port.name", port_name, names.validate_port_name(port_name))
    elif number:
        causes += field.port_number(f"{at}.port.number", number)
    else:
        causes.append(field.required(path, "port name or number is required"))
    return causes


def validate_reference(path: str, reference: Obj) -> Causes:
    causes, group = list[Cause](), reference.get("apiGroup")
    if group is not None:
        causes += field.invalids(f"{path}.apiGroup", group, names.validate_dns1123_subdomain(group))
    for name in ("kind", "name"):
        value = text(reference, name)
        if not value:
            causes.append(field.required(f"{path}.{name}"))
        else:
            causes += field.invalids(f"{path}.{name}", value, names.validate_path_segment(value))
    return causes


def validate_status(new: Obj, old: Obj) -> Causes:
    causes: Causes = []
    for i, one in enumerate(entries(new, "status", "loadBalancer", "ingress")):
        path, host = f"status.loadBalancer.ingress[{i}]", text(one, "hostname")
        if text(one, "ip"):
            causes += validate_ip(f"{path}.ip", text(one, "ip"))
        if host:
            causes += field.invalids(f"{path}.hostname", host, names.validate_dns1123_subdomain(host))
            if parse_ip(host) is not None:
                causes.append(field.invalid(f"{path}.hostname", host, NO_IP))
    return causes


def hosts_cell(obj: Obj, now: float) -> str:
    rules = entries(obj, "spec", "rules")
    shown: list[str] = []
    for rule in rules:
        if len(shown) == _HOSTS:
            return f"{','.join(shown)} + {len(rules) - _HOSTS} more..."
        if text(rule, "host"):
            shown.append(text(rule, "host"))
    return ",".join(shown) or "*"


def address_cell(obj: Obj, now: float) -> str:
    ingress = entries(obj, "status", "loadBalancer", "ingress")
    shown = ",".join(sorted({text(one, "ip") or text(one, "hostname") for one in ingress} - {""}))
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 3]}..."


INGRESS = Resource(
    gvr=gvr.INGRESSES,
    singular="ingress",
    short_names=("ing",),
    columns=(
        NAME,
        Column("Class", cell=lambda obj, now: text(obj, "spec", "ingressClassName") or NONE),
        Column("Hosts", cell=hosts_cell),
        Column("Address", cell=address_cell),
        Column("Ports", cell=lambda obj, now: "80, 443" if entries(obj, "spec", "tls") else "80"),
        AGE,
    ),
    subresources=("status",),
    has_generation=True,
    default=default_ingress,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
)
