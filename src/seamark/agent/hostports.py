"""Ports of the node that pods ask for (pure): those of containers and sidecars.

They lead to the pod, but for those of a pod in the node's own network, which are the node's already, and those of an
IPv6 address, as pods have none. No two pods may have the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamark.agent.look import is_sidecar
from seamark.agent.podspec import Pod
from seamark.linux.runtime import HostPort

ANY = ("", "0.0.0.0", "::")


def select_host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """What the node has to lead to the pod."""
    if pod.spec.host_network:
        return ()
    return tuple(port for port in _asked(pod) if ":" not in port.ip)


def collide(pod: Pod, others: Iterable[Pod]) -> bool:
    """Whether one of the others has a port that the pod asks for, at the same address or at any."""
    asked = _asked(pod)
    taken = [port for other in others for port in _asked(other)] if asked else []
    return any(
        (one.protocol, one.port) == (other.protocol, other.port) and (one.ip == other.ip or not (one.ip and other.ip))
        for one in asked
        for other in taken
    )


def _asked(pod: Pod) -> list[HostPort]:
    containers = (*filter(is_sidecar, pod.spec.init_containers), *pod.spec.containers)
    return [
        HostPort(port.protocol, port.host_port, port.container_port, ip="" if port.host_ip in ANY else port.host_ip)
        for container in containers
        for port in container.ports or []
        if port.host_port
    ]
