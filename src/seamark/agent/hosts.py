"""A pod's names on the node: its hostname and its /etc/hosts (pure).

The text of the file is the one people know from kubelet, tabs included, because scripts look for its first line.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.agent.podspec import HostAlias, Pod

MANAGED = "# Kubernetes-managed hosts file."
MANAGED_HOST_NETWORK = "# Kubernetes-managed hosts file (host network)."
_LOCAL = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)
MAX_HOSTNAME = 63
LINUX_MAX = 64


class HostnameError(Exception):
    """setHostnameAsFQDN asks for more than the kernel's 64 bytes."""


def select_hostname(pod: Pod, *, node: str) -> str:
    """The short name: the node's with hostNetwork, else spec.hostname or the pod's name cut to a label."""
    if pod.spec.host_network:
        return node
    return pod.spec.hostname or pod.metadata.name[:MAX_HOSTNAME].rstrip("-.")


def select_domain(pod: Pod, *, cluster_domain: str) -> str:
    """``SUBDOMAIN.NAMESPACE.svc.DOMAIN`` where the pod names a subdomain."""
    if pod.spec.host_network or not pod.spec.subdomain:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def select_uts_name(pod: Pod, *, node: str, cluster_domain: str) -> str:
    """What ``hostname`` prints in the pod. Raises HostnameError."""
    hostname = select_hostname(pod, node=node)
    domain = select_domain(pod, cluster_domain=cluster_domain)
    if not (pod.spec.set_hostname_as_fqdn and domain):
        return hostname
    full = f"{hostname}.{domain}"
    if len(full) > LINUX_MAX:
        raise HostnameError(f"spec.setHostnameAsFQDN: {full!r} is {len(full)} bytes long, the kernel takes 64")
    return full


def render_hosts(pod: Pod, *, ip: str, hostname: str, domain: str, node_hosts: str) -> str:
    """``node_hosts`` is the node's own file, which a pod on the host network sees."""
    aliases = _render_aliases(pod.spec.host_aliases or [])
    if pod.spec.host_network:
        return f"{MANAGED_HOST_NETWORK}\n{node_hosts.rstrip()}\n{aliases}"
    names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
    return "\n".join((MANAGED, *_LOCAL, f"{ip}\t{names}")) + "\n" + aliases


def _render_aliases(aliases: Sequence[HostAlias]) -> str:
    if not aliases:
        return ""
    lines = ["{}\t{}".format(alias.ip, "\t".join(alias.hostnames or [])) for alias in aliases]
    return "\n# Entries added by HostAliases.\n" + "\n".join(lines) + "\n"
