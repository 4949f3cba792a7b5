"""What objects cost: the requests and limits of a pod, its QoS class, and what a ResourceQuota counts of an object.

The API server charges with it and the quota controller counts with it, so both come to the same amounts. Pods count
while they have not ended; what a pod asks for is that of all its containers. Every kind counts as
``count/<resource>.<group>``, the old core kinds also by their plain name.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery.gvr import GVR
from seamark.machinery.objectfields import Obj, entries, section, text
from seamark.machinery.quantity import QuantityError, parse_quantity

Amounts = dict[str, Any]
Usage = dict[str, Any]
OBJECTS = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
)
POD_SCOPES = (
    "BestEffort",
    "NotBestEffort",
    "Terminating",
    "NotTerminating",
    "PriorityClass",
    "CrossNamespacePodAffinity",
)
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_CONTAINERS = ("initContainers", "containers")


def nanos(value: Any) -> int:
    """The amount in billionths; what is no quantity counts as nothing."""
    try:
        return parse_quantity(value).nanos
    except QuantityError:
        return 0


def pod_totals(pod: Obj) -> tuple[Amounts, Amounts]:
    """Containers and sidecars together; another init container counts where it asks for more than all of these."""
    return _total(pod, "requests"), _total(pod, "limits")


def _total(pod: Obj, side: str) -> Amounts:
    total: Amounts = {}
    sidecars: Amounts = {}
    most: Amounts = {}
    for container in entries(pod, "spec", "containers"):
        _add(total, section(container, "resources", side))
    for container in entries(pod, "spec", "initContainers"):
        asked = section(container, "resources", side)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            _raise(most, sidecars)
        else:
            together = dict(sidecars)
            _add(together, asked)
            _raise(most, together)
    _raise(total, most)
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = sum_of(total[name], value) if name in total else value


def _raise(total: Amounts, least: Amounts) -> None:
    for name, value in least.items():
        if name not in total or nanos(value) > nanos(total[name]):
            total[name] = value


def sum_of(first: Any, second: Any) -> str:
    """In the unit of the first one, or of the second where the first is nothing."""
    a, b = parse_quantity(first), parse_quantity(second)
    form = a.format if a.nanos else b.format
    return str(type(a)(a.nanos + b.nanos, form))


def growth_of(after: Usage, before: Usage) -> Usage:
    """What is used more than before; what is used less is for the quota controller to give back."""
    found: Usage = {}
    for name, value in after.items():
        amount = parse_quantity(value)
        more = amount.nanos - nanos(before.get(name, "0"))
        if more > 0:
            found[name] = str(type(amount)(more, amount.format))
    return found


def qos_class_of(spec: Obj) -> str:
    """BestEffort without any request or limit of cpu and memory, Guaranteed with equal ones everywhere."""
    requested, guaranteed = False, True
    for kind in _CONTAINERS:
        for container in entries(spec, kind):
            limits = _amounts(section(container, "resources", "limits"))
            requests = _amounts(section(container, "resources", "requests"))
            requested = requested or bool(limits or requests)
            guaranteed = guaranteed and set(limits) == {"cpu", "memory"} and requests in ({}, limits)
    if not requested:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(resources: Obj) -> dict[str, Any]:
    """The positive amounts of cpu and memory; what is no quantity is for validation to refuse."""
    found = {}
    for name in ("cpu", "memory"):
        try:
            amount = parse_quantity(resources[name]).value if name in resources else 0
        except QuantityError:
            amount = 0
        if amount > 0:
            found[name] = amount
    return found


def usage_of(gvr: GVR, obj: Obj) -> Usage:
    name = gvr.resource
    usage: Usage = {f"count/{name}.{gvr.group}" if gvr.group else f"count/{name}": "1"}
    if gvr.group:
        return usage
    if name in OBJECTS:
        usage[name] = "1"
    if name == "pods":
        return {} if _is_ended(obj) else usage | _pod_usage(obj)
    if name == "persistentvolumeclaims":
        return usage | _claim_usage(obj)
    if name == "services":
        return usage | _service_usage(obj)
    return usage


def _is_ended(pod: Obj) -> bool:
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def _pod_usage(pod: Obj) -> Usage:
    requests, limits = pod_totals(pod)
    usage: Usage = {name: requests[name] for name in _PLAIN if name in requests}
    usage |= {f"requests.{name}": value for name, value in requests.items()}
    return usage | {f"limits.{name}": value for name, value in limits.items() if name in _PLAIN}


def _claim_usage(claim: Obj) -> Usage:
    storage = section(claim, "spec", "resources", "requests").get("storage", "0")
    usage: Usage = {"requests.storage": storage}
    name = text(claim, "spec", "storageClassName")
    if name:
        of_class = f"{name}.storageclass.storage.k8s.io"
        usage |= {f"{of_class}/requests.storage": storage, f"{of_class}/persistentvolumeclaims": "1"}
    return usage


def _service_usage(service: Obj) -> Usage:
    kind, ports = text(service, "spec", "type"), len(entries(service, "spec", "ports"))
    balanced = kind == "LoadBalancer"
    withheld = balanced and section(service, "spec").get("allocateLoadBalancerNodePorts") is False
    takes_ports = kind == "NodePort" or (balanced and not withheld)
    return {"services.nodeports": str(ports if takes_ports else 0), "services.loadbalancers": str(int(balanced))}


def is_concerned(quota: Obj, gvr: GVR, obj: Obj) -> bool:
    """Does the quota's scope hold the object? Scopes are about pods alone."""
    wanted = [{"scopeName": name, "operator": "Exists"} for name in entries(quota, "spec", "scopes")]
    wanted += entries(quota, "spec", "scopeSelector", "matchExpressions")
    if not wanted:
        return True
    return not gvr.group and gvr.resource == "pods" and all(_fits(one, obj) for one in wanted)


def _fits(requirement: Obj, pod: Obj) -> bool:
    spec, values = section(pod, "spec"), entries(requirement, "values")
    match text(requirement, "scopeName"):
        case "BestEffort":
            return qos_class_of(spec) == "BestEffort"
        case "NotBestEffort":
            return qos_class_of(spec) != "BestEffort"
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "PriorityClass":
            return _has(text(spec, "priorityClassName"), text(requirement, "operator"), values)
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec)
    return False


def _has(name: str, operator: str, values: list[Any]) -> bool:
    match operator:
        case "In":
            return name in values
        case "NotIn":
            return name not in values
        case "Exists":
            return bool(name)
    return not name


def _crosses_namespaces(spec: Obj) -> bool:
    terms: list[Obj] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = section(spec, "affinity", kind)
        terms += entries(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
        preferred = entries(affinity, "preferredDuringSchedulingIgnoredDuringExecution")
        terms += [section(one, "podAffinityTerm") for one in preferred]
    return any(entries(term, "namespaces") or term.get("namespaceSelector") is not None for term in terms)
