"""Validation of Services, in the order and words of Kubernetes (pkg/apis/core/validation, ``validateService``).

Runs before allocation, so a missing ClusterIP, node port or health check port is no error here; whether a given one
can be had is for ``service_allocation`` to say.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.addresses import family_of, parse_ip, validate_cidr, validate_endpoint_ip, validate_ip
from seamark.resources.core.service_types import (
    HEADLESS,
    is_externally_accessible,
    is_headless,
    needs_health_check_port,
)
from seamark.resources.metadata import validate_labels
from seamark.resources.registry import Causes, Obj

AFFINITY_MAX_SECONDS = 86400
PROTOCOLS = ("SCTP", "TCP", "UDP")
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def validate_service(service: Obj) -> Causes:
    spec = section(service, "spec")
    causes = _validate_topology(section(service, "metadata", "annotations"))
    if not entries(spec, "ports") and not is_headless(service) and spec.get("type") != "ExternalName":
        causes.append(field.required("spec.ports"))
    causes += _validate_type_needs(service, spec)
    causes += _validate_ports(entries(spec, "ports"))
    causes += validate_labels("spec.selector", section(spec, "selector"))
    causes += _validate_affinity(spec)
    causes += _validate_addressing(spec)
    for i, ip in enumerate(entries(spec, "externalIPs")):
        path = field.index("spec.externalIPs", i)
        causes += validate_ip(path, ip) or validate_endpoint_ip(path, ip)
    causes += field.one_of("spec.type", spec.get("type", ""), TYPES)
    causes += _validate_port_uniqueness(spec)
    causes += _validate_source_ranges(spec)
    if spec.get("allocateLoadBalancerNodePorts") is not None and spec.get("type") != "LoadBalancer":
        causes.append(field.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER))
    causes += _validate_load_balancer_class(spec)
    causes += _validate_external_traffic(service, spec)
    return causes + _validate_internal_traffic(spec)


def validate_service_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    causes: Causes = []
    if not _validate_addressing(spec):  # whether it was so before says nothing where it cannot be so
        causes += _validate_kept(new, old, "clusterIPs")
        causes += _validate_kept(new, old, "ipFamilies")
    if spec.get("type") == before.get("type") == "LoadBalancer":
        given = spec.get("loadBalancerClass")
        if given != before.get("loadBalancerClass"):
            causes.append(field.invalid("spec.loadBalancerClass", given, "may not change once set"))
    if needs_health_check_port(new) and needs_health_check_port(old):
        given = spec.get("healthCheckNodePort")
        if given and given != before.get("healthCheckNodePort"):
            causes.append(field.forbidden("spec.healthCheckNodePort", field.IMMUTABLE))
    return causes


def validate_service_status(new: Obj, old: Obj) -> Causes:
    path = "status.loadBalancer.ingress"
    ingress = entries(new, "status", "loadBalancer", "ingress")
    if ingress and text(new, "spec", "type") != "LoadBalancer":
        return [field.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    known = [text(i, "ip") for i in entries(old, "status", "loadBalancer", "ingress")]
    causes: Causes = []
    for i, one in enumerate(ingress):
        causes += _validate_ingress(field.index(path, i), one, known)
    return causes


def _validate_ingress(path: str, ingress: Obj, known: list[str]) -> Causes:
    ip, mode, hostname = text(ingress, "ip"), ingress.get("ipMode"), text(ingress, "hostname")
    causes = validate_ip(f"{path}.ip", ip, known=known) if ip else []
    if mode is None:
        if ip:
            causes.append(field.required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif not ip:
        causes.append(field.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    else:
        causes += field.one_of(f"{path}.ipMode", mode, ("Proxy", "VIP"))
    if hostname:
        causes += field.invalids(f"{path}.hostname", hostname, names.validate_dns1123_subdomain(hostname))
        if parse_ip(hostname) is not None:
            causes.append(field.invalid(f"{path}.hostname", hostname, "must be a DNS name, not an IP address"))
    return causes


def _validate_topology(annotations: Obj) -> Causes:
    if _MODE in annotations and _HINTS in annotations and annotations[_MODE] != annotations[_HINTS]:
        path = field.index("metadata.annotations", _MODE)
        return [field.invalid(path, annotations[_MODE], f"must match annotations[{_HINTS}] when both are specified")]
    return []


def _validate_type_needs(service: Obj, spec: Obj) -> Causes:
    kind = spec.get("type")
    if kind in ("LoadBalancer", "NodePort") and is_headless(service):
        detail = f"may not be set to 'None' for {kind} services"
        return [field.invalid("spec.clusterIPs[0]", HEADLESS, detail)]
    if kind != "ExternalName":
        return []
    causes = [
        field.forbidden(f"spec.{name}", "may not be set for ExternalName services")
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(name)
    ]
    # A trailing dot says that the name is fully qualified.
    name = text(spec, "externalName").removesuffix(".")
    if not name:
        return [*causes, field.required("spec.externalName")]
    return causes + field.invalids("spec.externalName", name, names.validate_dns1123_subdomain(name))


def _validate_ports(ports: list[Obj]) -> Causes:
    causes: Causes = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        path = field.index("spec.ports", i)
        name = text(port, "name")
        if name:
            causes += field.invalids(f"{path}.name", name, names.validate_dns1123_label(name))
            if name in seen:
                causes.append(field.duplicate(f"{path}.name", name))
            seen.add(name)
        elif len(ports) > 1:
            causes.append(field.required(f"{path}.name"))
        causes += field.port_number(f"{path}.port", port.get("port") or 0)
        causes += field.one_of(f"{path}.protocol", port.get("protocol", ""), PROTOCOLS)
        causes += validate_port_or_name(f"{path}.targetPort", port.get("targetPort", 0))
        if port.get("appProtocol") is not None:
            given = port["appProtocol"]
            causes += field.invalids(f"{path}.appProtocol", given, names.validate_qualified_name(given))
    return causes


def validate_port_or_name(path: str, value: Any) -> Causes:
    """An IntOrString port: a number of the range, or an IANA service name."""
    if isinstance(value, str):
        return field.invalids(path, value, names.validate_port_name(value))
    return field.port_number(path, value)


def _validate_affinity(spec: Obj) -> Causes:
    affinity = spec.get("sessionAffinity", "")
    path = "spec.sessionAffinityConfig"
    if affinity == "None" and spec.get("sessionAffinityConfig") is not None:
        return [field.forbidden(path, "must not be set when session affinity is None")]
    if affinity != "ClientIP":
        return field.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    timeout = section(spec, "sessionAffinityConfig", "clientIP").get("timeoutSeconds")
    path += ".clientIP.timeoutSeconds"
    if timeout is None:
        return [field.required(path, "when session affinity type is ClientIP")]
    if not 0 < timeout <= AFFINITY_MAX_SECONDS:
        detail = f"must be greater than 0 and less than {AFFINITY_MAX_SECONDS}"
        return [field.invalid(path, timeout, detail)]
    return []


def _validate_addressing(spec: Obj) -> Causes:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy against each other."""
    if spec.get("type") == "ExternalName":
        return []
    ips, families, path = entries(spec, "clusterIPs"), entries(spec, "ipFamilies"), "spec.clusterIPs"
    causes: Causes = []
    if spec.get("clusterIP"):
        if not ips:
            causes.append(field.required(path))
        elif ips[0] != spec["clusterIP"]:
            causes.append(field.invalid(path, ips, "first value must match `clusterIP`"))
    elif ips:
        causes.append(field.invalid(path, ips, "must be empty when `clusterIP` is not specified"))
    for i, family in enumerate(families):
        causes += field.one_of(field.index("spec.ipFamilies", i), family, FAMILIES)
        if family in families[:i]:
            causes.append(field.duplicate(field.index("spec.ipFamilies", i), family))
    if spec.get("ipFamilyPolicy") is not None:
        causes += field.one_of("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], FAMILY_POLICIES)
    return causes + _validate_cluster_ips(ips, families)


def _validate_cluster_ips(ips: list[str], families: list[str]) -> Causes:
    path = "spec.clusterIPs"
    causes: Causes = []
    for i, ip in enumerate(ips):
        if i == 0 and ip == HEADLESS:
            if len(ips) > 1:
                causes.append(field.invalid(path, ips, "'None' must be the first and only value"))
            continue
        causes += validate_ip(field.index(path, i), ip)
    if causes:
        return causes  # what follows would only confuse
    if len(ips) > 2:
        causes.append(field.invalid(path, ips, "may only hold up to 2 values"))
    if len(ips) > 1 and len({family_of(ip) for ip in ips}) != len(ips):
        causes.append(field.invalid(path, ips, "may specify no more than one IP for each IP family"))
    if ips == [HEADLESS]:
        return causes
    for i, (ip, family) in enumerate(zip(ips, families, strict=False)):
        if family in FAMILIES and family_of(ip) != family:
            detail = f"expected an {family} value as indicated by `ipFamilies[{i}]`"
            causes.append(field.invalid(field.index(path, i), ip, detail))
    return causes


def _validate_port_uniqueness(spec: Obj) -> Causes:
    ports = entries(spec, "ports")
    causes: Causes = []
    if spec.get("type") == "ClusterIP":
        causes += [
            field.forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for i, port in enumerate(ports)
            if port.get("nodePort")
        ]
    seen: set[tuple[Any, Any]] = set()
    for i, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("nodePort"))
        if port.get("nodePort") and pair in seen:
            causes.append(field.duplicate(f"spec.ports[{i}].nodePort", port["nodePort"]))
        seen.add(pair)
    seen = set()
    for i, port in enumerate(ports):
        pair = (port.get("protocol"), port.get("port"))
        if pair in seen:
            value = {"Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": pair[1]}
            value |= {"TargetPort": 0, "NodePort": 0}
            causes.append(field.duplicate_struct(f"spec.ports[{i}]", value))
        seen.add(pair)
    return causes


def _validate_source_ranges(spec: Obj) -> Causes:
    ranges = entries(spec, "loadBalancerSourceRanges")
    path = "spec.LoadBalancerSourceRanges"  # the capital is Kubernetes'
    causes: Causes = []
    if ranges and spec.get("type") != "LoadBalancer":
        causes.append(field.forbidden(path, _ONLY_LOAD_BALANCER))
    for i, value in enumerate(ranges):
        causes += validate_cidr(field.index(path, i), value.strip())
    return causes


def _validate_load_balancer_class(spec: Obj) -> Causes:
    given = spec.get("loadBalancerClass")
    if given is None:
        return []
    if spec.get("type") != "LoadBalancer":
        return [field.forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)]
    return field.invalids("spec.loadBalancerClass", given, names.validate_qualified_name(given))


def _validate_external_traffic(service: Obj, spec: Obj) -> Causes:
    path, policy = "spec.externalTrafficPolicy", spec.get("externalTrafficPolicy")
    causes: Causes = []
    if is_externally_accessible(service):
        causes += field.one_of(path, policy or "", ("Cluster", "Local"))
    elif policy:
        causes.append(field.invalid(path, policy, "may only be set for externally-accessible services"))
    port = spec.get("healthCheckNodePort")
    if port and not needs_health_check_port(service):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(field.invalid("spec.healthCheckNodePort", port, detail))
    elif port:
        causes += field.port_number("spec.healthCheckNodePort", port)
    return causes


def _validate_internal_traffic(spec: Obj) -> Causes:
    causes: Causes = []
    if spec.get("internalTrafficPolicy") is not None:
        causes += field.one_of("spec.internalTrafficPolicy", spec["internalTrafficPolicy"], ("Cluster", "Local"))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in DISTRIBUTIONS:
        causes.append(field.not_supported("spec.trafficDistribution", distribution, DISTRIBUTIONS))
    return causes


def _validate_kept(new: Obj, old: Obj, name: str) -> Causes:
    """The first address and family never change; a second one may come, and go with the policy that says so."""
    spec, before = section(new, "spec"), section(old, "spec")
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    if is_headless(old) and is_headless(new):
        return []
    if name == "ipFamilies" and is_headless(old) != is_headless(new):
        return []
    one, spoken = ("clusterIP", "cluster IP") if name == "clusterIPs" else ("ipFamily", "IP family")
    now, then = entries(spec, name), entries(before, name)
    path = f"spec.{name}"
    causes: Causes = []
    if len(now) == len(then):
        for i, value in enumerate(then):
            if value != now[i]:
                at = i if name == "clusterIPs" else 0
                causes.append(field.invalid(field.index(path, at), now, "may not change once set"))
        return causes
    if then and not now:
        causes.append(field.invalid(field.index(path, 0), now, f"primary {one} can not be unset"))
    if then and now and now[0] != then[0]:
        causes.append(field.invalid(field.index(path, 0), now, "may not change once set"))
    policy = spec.get("ipFamilyPolicy")
    if len(then) > len(now) == 1 and policy != "SingleStack":
        detail = f"must be 'SingleStack' to release the secondary {spoken}"
        causes.append(field.invalid("spec.ipFamilyPolicy", policy, detail))
    return causes
