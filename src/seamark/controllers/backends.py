"""What a pod is to a Service: reachable where, ready or not, on which ports; pure.

Endpoints and EndpointSlices are two spellings of these same answers (k8s.io/endpointslice util).
"""

from __future__ import annotations

from seamark.machinery.clock import format_time, parse_time
from seamark.model.endpointslice import EndpointPort, ObjectReference
from seamark.model.meta import HEADLESS_LABEL
from seamark.model.pod import ContainerPort, Pod
from seamark.model.service import Service, ServicePort

RESERVED_LABELS = (HEADLESS_LABEL, "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by")


def has_backends(service: Service) -> bool:
    """Are this Service's endpoints ours to compute? Without selector they are made by hand, ExternalName has none."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def selects(service: Service, pod: Pod) -> bool:
    selector = service.spec.selector or {}
    return bool(selector) and selector.items() <= pod.labels.items()


def addresses(pod: Pod, family: str) -> list[str]:
    return [ip for ip in pod.ips if (":" in ip) == (family == "IPv6")]


def is_published_ready(service: Service, pod: Pod) -> bool:
    """``ready``: may be sent new connections."""
    return service.spec.publish_not_ready_addresses or (pod.is_ready and not pod.is_terminating)


def hostname(service: Service, pod: Pod) -> str:
    """The name below the Service's, only for pods that ask for exactly this Service (pod.spec.subdomain)."""
    return pod.spec.hostname if pod.spec.hostname and pod.spec.subdomain == service.metadata.name else ""


def target_ref(pod: Pod) -> ObjectReference:
    meta = pod.metadata
    return ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid)


def resolve_ports(service: Service, pod: Pod) -> tuple[EndpointPort, ...]:
    """The pod's own numbers of the Service's ports; a named target that the pod does not have is left out."""
    found = []
    for port in service.spec.ports or ():
        number = target_number(port, pod)
        if number is not None:
            found.append(EndpointPort(port.name, port.protocol, number, port.app_protocol))
    return tuple(found)


def target_number(port: ServicePort, pod: Pod) -> int | None:
    target = port.target_port
    if target is None or target == "" or target == 0:
        return port.port
    if isinstance(target, int):
        return target
    return next((p.container_port for p in _ports(pod) if p.name == target and p.protocol == port.protocol), None)


def _ports(pod: Pod) -> list[ContainerPort]:
    containers = [*(pod.spec.containers or ()), *(pod.spec.init_containers or ())]
    return [port for container in containers for port in container.ports or ()]


def copied_labels(service: Service) -> dict[str, str]:
    """The Service's labels, as its endpoints carry them, with the mark of a headless one."""
    labels = {k: v for k, v in service.labels.items() if k not in RESERVED_LABELS}
    if service.is_headless:
        labels[HEADLESS_LABEL] = ""
    return labels


def trigger_time(service: Service, pods: list[Pod]) -> str | None:
    """When what we are about to write became true: the last change of readiness among the pods."""
    times = [ready.last_transition_time for pod in pods if (ready := pod.condition("Ready")) is not None]
    latest = max((parse_time(time) for time in times if time), default=None)
    if latest is not None:
        return format_time(latest)
    return service.metadata.creation_timestamp
