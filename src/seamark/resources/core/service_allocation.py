"""What a Service is given: IP families, ClusterIPs, node ports, the health check port; and what a write keeps of them.

``keep_allocated`` lets a client send back a manifest without the allocated values (PUT, or a patch with null) and
keep them. ``allocate_service`` claims every value the new object holds, also those it had, since the reservation
frees at commit what was not claimed again.
"""

from __future__ import annotations

from seamark.machinery.status import internal
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.addresses import family_of
from seamark.resources.core.service_types import (
    HEADLESS,
    allocates_node_ports,
    is_headless,
    needs_cluster_ip,
    needs_health_check_port,
    node_port_set,
    uses_node_ports,
)
from seamark.resources.registry import Causes, Obj, Reservation

OTHER_FAMILY = {"IPv4": "IPv6", "IPv6": "IPv4"}
_POLICY = "spec.ipFamilyPolicy"


def keep_allocated(new: Obj, old: Obj) -> None:
    """Fills what the client left out from the stored object, and brings clusterIP and clusterIPs together."""
    spec, before = section(new, "spec"), section(old, "spec")
    if needs_cluster_ip(old) and needs_cluster_ip(new):
        if before.get("clusterIP") and not spec.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if before.get("clusterIPs") and not spec.get("clusterIPs"):
            same = spec.get("clusterIP") == before.get("clusterIP")
            spec["clusterIPs"] = list(before["clusterIPs"]) if same else [spec["clusterIP"]]
        elif spec.get("clusterIP") != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
    elif needs_cluster_ip(new) and spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if uses_node_ports(old) and allocates_node_ports(new):
        _keep_node_ports(new, old)
    if needs_health_check_port(old) and needs_health_check_port(new) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort")
    if needs_cluster_ip(new):
        _keep_families(spec, before)


def _keep_node_ports(new: Obj, old: Obj) -> None:
    """By port name, as far as the number is not already used for another port of the new object."""
    used = node_port_set(new) & node_port_set(old)
    known = {text(port, "name"): port.get("nodePort") for port in entries(old, "spec", "ports")}
    for port in entries(new, "spec", "ports"):
        number = known.get(text(port, "name"))
        if not port.get("nodePort") and number and number not in used:
            port["nodePort"] = number
            used.add(number)


def _keep_families(spec: Obj, before: Obj) -> None:
    if not spec.get("ipFamilyPolicy") and before.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = before["ipFamilyPolicy"]
    if not spec.get("ipFamilies") and before.get("ipFamilies"):
        spec["ipFamilies"] = list(before["ipFamilies"])
    if spec.get("ipFamilyPolicy") == "SingleStack":
        # Going back to one family is said by the policy alone; the lists follow.
        for name in ("clusterIPs", "ipFamilies"):
            if len(spec.get(name) or ()) > 1 and spec[name] == before.get(name):
                spec[name] = spec[name][:1]


def allocate_service(new: Obj, old: Obj | None, pools: Reservation) -> Causes:
    if needs_cluster_ip(new):
        causes = _choose_families(new, old, pools.families) or _claim_cluster_ips(new, pools)
        if causes:
            return causes
    if uses_node_ports(new):
        causes = _claim_node_ports(new, pools, share=old is None)
        if causes:
            return causes
    if needs_health_check_port(new):
        _claim_health_check_port(new, pools)
    pools.settle(new)
    return []


def _choose_families(new: Obj, old: Obj | None, available: tuple[str, ...]) -> Causes:
    """Fills ipFamilyPolicy and ipFamilies."""
    spec = section(new, "spec")
    ips = entries(spec, "clusterIPs")
    selectorless_headless = is_headless(new) and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = "RequireDualStack" if selectorless_headless else "SingleStack"
    policy: str = spec["ipFamilyPolicy"]
    families: list[str] = list(entries(spec, "ipFamilies"))
    causes = _validate_policy(policy, ips, families, old)
    for i, ip in enumerate(ips):
        if ip == HEADLESS or i < len(families):
            continue
        if family_of(ip) not in available:
            detail = f"{family_of(ip)} is not configured on this cluster"
            causes.append(field.invalid(field.index("spec.clusterIPs", i), ips, detail))
        else:
            families.append(family_of(ip))
    if causes:
        return causes
    if not selectorless_headless:
        causes = _validate_available(policy, families, available)
        if causes:
            return causes
    families = families or [available[0]]
    # A headless Service without selector names the addresses of others, so both families are open to it.
    wants_both = selectorless_headless or (len(available) == 2 and not _stays_as_it_is(new, old))
    if policy != "SingleStack" and len(families) == 1 and wants_both:
        families.append(OTHER_FAMILY[families[0]])
    spec["ipFamilies"] = families
    return []


def _stays_as_it_is(new: Obj, old: Obj | None) -> bool:
    """PreferDualStack gains a family only when something of it is touched, not because the cluster has one more."""
    spec, before = section(new, "spec"), section(old or {}, "spec")
    same = all(spec.get(name) == before.get(name) for name in ("type", "ipFamilyPolicy", "clusterIPs", "ipFamilies"))
    return same and spec.get("ipFamilyPolicy") == "PreferDualStack"


def _validate_policy(policy: str, ips: list[str], families: list[str], old: Obj | None) -> Causes:
    causes: Causes = []
    before = section(old or {}, "spec")
    if policy != "SingleStack":
        for now, name, what in ((ips, "clusterIPs", "cluster IP"), (families, "ipFamilies", "IP family")):
            if old is not None and now and len(now) < len(entries(before, name)):
                causes.append(field.invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {what}"))
        return causes
    for now, what in ((ips, "cluster IPs"), (families, "IP families")):
        if len(now) == 2:
            detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            causes.append(field.invalid(_POLICY, policy, detail))
    return causes


def _validate_available(policy: str, families: list[str], available: tuple[str, ...]) -> Causes:
    causes: Causes = []
    if policy == "RequireDualStack" and len(available) < 2:
        causes.append(field.invalid(_POLICY, policy, "this cluster is not configured for dual-stack services"))
    for i, family in enumerate(families):
        if family not in available:
            path = field.index("spec.ipFamilies", i)
            causes.append(field.invalid(path, family, "not configured on this cluster"))
    return causes


def _claim_cluster_ips(new: Obj, pools: Reservation) -> Causes:
    spec = section(new, "spec")
    given: list[str] = list(entries(spec, "clusterIPs"))
    if given == [HEADLESS]:
        return []
    found: list[str] = []
    for i, family in enumerate(spec["ipFamilies"]):
        if i < len(given) and given[i]:
            why = pools.claim_ip(given[i])
            if why:
                return [field.invalid("spec.clusterIPs", given, f"failed to allocate IP {given[i]}: {why}")]
            found.append(given[i])
            continue
        ip = pools.next_ip(family)
        if ip is None:
            name = text(new, "metadata", "name")
            raise internal(f'failed to allocate a serviceIP for Service "{name}": range is full')
        found.append(ip)
    spec["clusterIP"], spec["clusterIPs"] = found[0], found
    return []


def _claim_node_ports(new: Obj, pools: Reservation, *, share: bool) -> Causes:
    """Explicit numbers first. In a new Service one number serves a port under all its protocols; a port that comes
    later gets one of its own, as Kubernetes gives them out.
    """
    ports = entries(new, "spec", "ports")
    by_port: dict[int, int] = {}
    for i, port in enumerate(ports):
        if not port.get("nodePort"):
            continue
        why = pools.claim_node_port(port["nodePort"], port["protocol"])
        if why:
            return [field.invalid(f"spec.ports[{i}].nodePort", port["nodePort"], why)]
        by_port.setdefault(port["port"], port["nodePort"])
    if not allocates_node_ports(new):
        return []
    for port in ports:
        if port.get("nodePort"):
            continue
        number = (share and by_port.get(port["port"])) or pools.next_node_port(port["protocol"])
        if number is None:
            raise internal("failed to allocate a nodePort: range is full")
        port["nodePort"] = by_port[port["port"]] = number
    return []


def _claim_health_check_port(new: Obj, pools: Reservation) -> None:
    spec = section(new, "spec")
    wanted = spec.get("healthCheckNodePort")
    if wanted:
        why = pools.claim_node_port(wanted, "TCP")
        if why:
            raise internal(f"failed to allocate requested HealthCheck NodePort {wanted}: {why}")
        return
    number = pools.next_node_port("TCP")
    if number is None:
        raise internal("failed to allocate a HealthCheck NodePort 0: range is full")
    spec["healthCheckNodePort"] = number
