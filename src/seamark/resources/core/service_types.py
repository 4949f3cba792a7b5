"""What follows from a Service's ``spec.type``: which addresses and ports it needs. Shared by its hooks."""

from __future__ import annotations

from seamark.resources.access import entries, section
from seamark.resources.registry import Obj

HEADLESS = "None"


def is_headless(service: Obj) -> bool:
    spec = section(service, "spec")
    given = entries(spec, "clusterIPs") or [spec.get("clusterIP")]
    return given == [HEADLESS]


def needs_cluster_ip(service: Obj) -> bool:
    """``None`` counts as one."""
    return section(service, "spec").get("type") != "ExternalName"


def uses_node_ports(service: Obj) -> bool:
    return section(service, "spec").get("type") in ("NodePort", "LoadBalancer")


def allocates_node_ports(service: Obj) -> bool:
    """A LoadBalancer may do without (``allocateLoadBalancerNodePorts: false``)."""
    spec = section(service, "spec")
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == "NodePort"


def needs_health_check_port(service: Obj) -> bool:
    spec = section(service, "spec")
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_externally_accessible(service: Obj) -> bool:
    spec = section(service, "spec")
    return uses_node_ports(service) or (spec.get("type") == "ClusterIP" and bool(entries(spec, "externalIPs")))


def node_port_set(service: Obj) -> set[int]:
    return {port["nodePort"] for port in entries(service, "spec", "ports") if port.get("nodePort")}
