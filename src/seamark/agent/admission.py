"""What a node refuses for good, in kubelet's words (pure): such a pod fails with a reason, it does not wait.

What this node merely does not do yet is in ``refusals.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamark.agent.eviction import select_refusal
from seamark.agent.hostports import collide
from seamark.agent.look import Ending
from seamark.agent.podspec import AppArmorProfile, Pod

SAFE_SYSCTLS = {
    # namespaced, and without influence on any other pod of the node; the namespace that each belongs to
    "kernel.shm_rmid_forced": "ipc",
    "net.ipv4.ip_local_port_range": "net",
    "net.ipv4.tcp_syncookies": "net",
    "net.ipv4.ping_group_range": "net",
    "net.ipv4.ip_unprivileged_port_start": "net",
    "net.ipv4.ip_local_reserved_ports": "net",
    "net.ipv4.tcp_keepalive_time": "net",
    "net.ipv4.tcp_fin_timeout": "net",
    "net.ipv4.tcp_keepalive_intvl": "net",
    "net.ipv4.tcp_keepalive_probes": "net",
    "net.ipv4.tcp_rmem": "net",
    "net.ipv4.tcp_wmem": "net",
}


PORTS_TAKEN = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"


def select_rejection(
    pod: Pod, pressures: frozenset[str] = frozenset(), neighbours: Iterable[Pod] = ()
) -> Ending | None:
    """Why the pod may not run here. ``pressures``: the node's conditions of that kind that are true; ``neighbours``:
    the pods it has.
    """
    refusal = select_refusal(pod, pressures)
    if refusal is not None:
        return refusal
    if collide(pod, neighbours):
        return Ending("NodePorts", PORTS_TAKEN)
    for sysctl in pod.spec.security_context.sysctls or []:
        problem = _sysctl_problem(pod, normalize_sysctl(sysctl.name))
        if problem:
            return Ending("SysctlForbidden", f"forbidden sysctl: {problem}")
    if _wants_app_armor(pod):
        return Ending("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    return None


def normalize_sysctl(name: str) -> str:
    """``net/ipv4/tcp_rmem`` is another spelling of ``net.ipv4.tcp_rmem``."""
    slash, dot = name.find("/"), name.find(".")
    return name.replace("/", ".") if slash >= 0 and (dot < 0 or slash < dot) else name


def _sysctl_problem(pod: Pod, name: str) -> str:
    namespace = SAFE_SYSCTLS.get(name)
    if namespace is None:
        return f'"{name}" not allowlisted'
    if namespace == "ipc" and pod.spec.host_ipc:
        return f'"{name}" not allowed with host ipc enabled'
    if namespace == "net" and pod.spec.host_network:
        return f'"{name}" not allowed with host net enabled'
    return ""


def _wants_app_armor(pod: Pod) -> bool:
    profiles: list[AppArmorProfile | None] = [pod.spec.security_context.app_armor_profile]
    profiles += [container.security_context.app_armor_profile for container in pod.spec.all_containers]
    return any(profile is not None and profile.type != "Unconfined" for profile in profiles)
