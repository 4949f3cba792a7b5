"""What a node agent is told by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seamark.agent.eviction import Threshold

CONTROL_PLANE_ROLE = "control-plane"


Unrouted = Callable[[str], Awaitable[None]]
"""Returns when no service proxy that this process can ask sends new connections to the pod address."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """``state_dir`` is DATA/nodes/NODE. ``netns`` is the pin of the node's network namespace, None where the node is
    the machine itself; probes connect from there. ``resolv_conf`` None: pods of dnsPolicy Default have no upstream.
    """

    node: str
    node_ip: str
    pod_cidr: str
    state_dir: Path
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()
    resolv_conf: Path | None = None
    hosts: Path = Path("/etc/hosts")
    netns: Path | None = None
    roles: tuple[str, ...] = ()  # CONTROL_PLANE_ROLE for the first node
    labels: Mapping[str, str] = field(default_factory=dict)
    max_pods: int = 110
    seccomp_profiles: Path | None = None  # where profiles of type Localhost lie; None: state_dir/seccomp
    unrouted: Unrouted | None = None
    static_pods: Path | None = None  # the folder of their manifests
    images: Path | None = None  # where images lie; None: the same disk as state_dir
    eviction_hard: tuple[Threshold, ...] = ()
