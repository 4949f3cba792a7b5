"""Which ports of the node lead to a pod (pure): those of its containers and sidecars. Ports of a pod in the node's own
network are the node's already, and those of an IPv6 address lead nowhere, as pods have none.
"""

from __future__ import annotations

from seamark.agent.look import is_sidecar
from seamark.agent.podspec import Pod
from seamark.linux.runtime import HostPort

ANY = ("", "0.0.0.0", "::")


def select_host_ports(pod: Pod) -> tuple[HostPort, ...]:
    if pod.spec.host_network:
        return ()
    containers = (*filter(is_sidecar, pod.spec.init_containers), *pod.spec.containers)
    asked = [port for container in containers for port in container.ports or [] if port.host_port]
    return tuple(
        HostPort(port.protocol, port.host_port, port.container_port, ip="" if port.host_ip in ANY else port.host_ip)
        for port in asked
        if port.host_ip in ANY or ":" not in port.host_ip
    )
