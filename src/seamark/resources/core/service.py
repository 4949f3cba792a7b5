"""core/v1 Service: a name and a virtual address before a set of pods.

Defaults, columns and what a write keeps are here; the checks are in ``service_validation``, addresses, families and
node ports in ``service_allocation``. A Service is a union told apart by ``spec.type``: fields that the new type has no
use for are dropped on update, unless the client changed them as well, which validation then refuses.
"""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources.access import default, default_pointer, drop_empty, ensure, entries, keep, section, text
from seamark.resources.addresses import ip_warnings
from seamark.resources.columns import NONE, UNKNOWN, format_labels
from seamark.resources.core.service_allocation import allocate_service, keep_allocated
from seamark.resources.core.service_types import (
    HEADLESS,
    is_externally_accessible,
    is_headless,
    needs_cluster_ip,
    needs_health_check_port,
    node_port_set,
    uses_node_ports,
)
from seamark.resources.core.service_validation import (
    validate_service,
    validate_service_status,
    validate_service_update,
)
from seamark.resources.registry import AGE, NAME, Column, Obj, Resource

AFFINITY_SECONDS = 10800
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"


def default_service(service: Obj) -> None:
    spec = ensure(service, "spec")
    default(spec, "sessionAffinity", "None")
    default(spec, "type", "ClusterIP")
    _default_affinity(spec)
    for port in entries(spec, "ports"):
        default(port, "protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
        drop_empty(port, "name", "nodePort")
    if is_externally_accessible(service):
        default(spec, "externalTrafficPolicy", "Cluster")
    if spec["type"] in ("ClusterIP", "NodePort", "LoadBalancer"):
        default_pointer(spec, "internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        default(spec, "allocateLoadBalancerNodePorts", True)
    # Clients that mean "not set" by an empty text or list; Go's encoder never writes these.
    drop_empty(spec, "clusterIP", "clusterIPs", "externalName", "externalTrafficPolicy", "healthCheckNodePort")
    drop_empty(spec, "ipFamilies", "loadBalancerIP", "ports", "selector", "externalIPs", "loadBalancerSourceRanges")
    # Pointers in Go: null is absent, an empty text is a value, and refused.
    for name in ("ipFamilyPolicy", "internalTrafficPolicy", "loadBalancerClass", "trafficDistribution"):
        if name in spec and spec[name] is None:
            del spec[name]
    ensure(ensure(service, "status"), "loadBalancer")


def _default_affinity(spec: Obj) -> None:
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
        return
    timeout = section(spec, "sessionAffinityConfig", "clientIP").get("timeoutSeconds")
    if spec["sessionAffinity"] == "ClientIP" and timeout is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}


def prepare_create(service: Obj) -> None:
    service["status"] = {"loadBalancer": {}}
    spec = section(service, "spec")
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")
    keep_allocated(new, old)
    _drop_what_the_type_has_no_use_for(new, old)


def prepare_status(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    ensure(ensure(new, "status"), "loadBalancer")
    if text(new, "spec", "type") == "LoadBalancer":
        for ingress in entries(new, "status", "loadBalancer", "ingress"):
            if ingress.get("ip"):
                default(ingress, "ipMode", "VIP")


def _drop_what_the_type_has_no_use_for(new: Obj, old: Obj) -> None:
    spec, before = section(new, "spec"), section(old, "spec")

    def drop(*fields: str) -> None:
        for name in fields:
            if spec.get(name) == before.get(name):
                spec.pop(name, None)

    if needs_cluster_ip(old) and not needs_cluster_ip(new):
        if spec.get("clusterIP") == before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            drop("clusterIP", "clusterIPs")
        drop("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    if uses_node_ports(old) and not uses_node_ports(new) and node_port_set(new) <= node_port_set(old):
        for port in entries(spec, "ports"):
            port.pop("nodePort", None)
    if needs_health_check_port(old) and not needs_health_check_port(new):
        drop("healthCheckNodePort")
    if text(old, "spec", "type") == "LoadBalancer" and text(new, "spec", "type") != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if is_externally_accessible(old) and not is_externally_accessible(new):
        drop("externalTrafficPolicy")
    if text(new, "spec", "type") != "LoadBalancer":
        new["status"] = {**section(new, "status"), "loadBalancer": {}}


def warnings(service: Obj) -> list[str]:
    spec = section(service, "spec")
    kind, external_ips = text(spec, "type"), entries(spec, "externalIPs")
    said: list[str] = []
    if _TOPOLOGY_HINTS in section(service, "metadata", "annotations"):
        said.append(f"annotation {_TOPOLOGY_HINTS} is deprecated, please use {_TOPOLOGY_MODE} instead")
    if text(spec, "clusterIP") not in ("", HEADLESS):
        for i, ip in enumerate(entries(spec, "clusterIPs")):
            said += ip_warnings(f"spec.clusterIPs[{i}]", ip)
    headless = kind == "ClusterIP" and is_headless(service)
    if headless:
        said += [f"spec.{n} is ignored for headless services" for n in ("loadBalancerIP", "externalIPs") if spec.get(n)]
        if spec.get("sessionAffinity") != "None":
            said.append("spec.SessionAffinity is ignored for headless services")
    for i, ip in enumerate(external_ips):
        said += ip_warnings(f"spec.externalIPs[{i}]", ip)
    if external_ips and not headless and kind != "ExternalName":
        said.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    said += ip_warnings("spec.loadBalancerIP", text(spec, "loadBalancerIP"))
    if kind == "ExternalName" and external_ips:
        said.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        said.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        said.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return said


def external_ip_cell(service: Obj, now: float) -> str:
    spec = section(service, "spec")
    given = entries(spec, "externalIPs")
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            ingress = entries(service, "status", "loadBalancer", "ingress")
            balanced = sorted({i.get("ip") or i.get("hostname") or "" for i in ingress} - {""})
            return ",".join([*balanced, *given]) or "<pending>"
        case "ExternalName":
            return text(spec, "externalName")
    return UNKNOWN


def ports_cell(service: Obj, now: float) -> str:
    shown = []
    for port in entries(service, "spec", "ports"):
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


SERVICE = Resource(
    gvr=gvr.SERVICES,
    singular="service",
    short_names=("svc",),
    categories=("all",),
    columns=(
        NAME,
        Column("Type", cell=lambda obj, now: text(obj, "spec", "type")),
        Column("Cluster-IP", cell=lambda obj, now: next(iter(entries(obj, "spec", "clusterIPs")), NONE)),
        Column("External-IP", cell=external_ip_cell),
        Column("Port(s)", cell=ports_cell),
        AGE,
        Column("Selector", priority=1, cell=lambda obj, now: format_labels(section(obj, "spec", "selector"))),
    ),
    subresources=("proxy", "status"),
    returns_object_on_delete=True,
    allows_create_on_update=True,
    field_selectors={
        "spec.clusterIP": lambda obj: text(obj, "spec", "clusterIP"),
        "spec.type": lambda obj: text(obj, "spec", "type"),
    },
    default=default_service,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate_service,
    validate_update=validate_service_update,
    prepare_status=prepare_status,
    validate_status=validate_service_status,
    allocate=allocate_service,
    warnings=warnings,
    validate_name=names.validate_dns1123_label,
)
