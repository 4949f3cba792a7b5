"""Snapshot -> what packets to Services do on one node (product: Ruleset). All decisions, no rendering.

nft, iptables and ipvs are renderers of one Ruleset (DESIGN §3), so they cannot disagree; ``testing/tracer.py``
evaluates a Ruleset for a packet. Per service port and destination class the outcome is one of: balance over a
list, refuse, drop (KEP-3866 and the traffic-policy KEPs; facts in the room's README).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from seamark.compile.endpoints import BackendEndpoint
from seamark.model.meta import UNKNOWN, Provenance

Protocol = Literal["TCP", "UDP", "SCTP"]


class PortKey(NamedTuple):
    """The unit of work: ``namespace/name:port`` and its protocol."""

    namespace: str
    name: str
    port_name: str
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port_name}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Target:
    """How to choose: ``balance`` over endpoints (never empty then), ``refuse`` (reset/unreachable), ``drop``."""

    action: Literal["balance", "refuse", "drop"]
    endpoints: tuple[BackendEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class PortRules:
    """Everything one service port of one IP family means on this node.

    ``internal`` serves ClusterIPs; ``external`` serves node ports, external IPs and load-balancer VIPs from
    outside; ``external_short_circuit`` serves the same from pods and the node itself when policy is Local.
    ``affinity_seconds`` 0 = none. Addresses are of one family.
    """

    key: PortKey
    port: int
    cluster_ips: tuple[str, ...]
    internal: Target
    external: Target
    external_short_circuit: Target | None
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    origin: Provenance = UNKNOWN


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a proxy knows of its node. ``pod_cidrs`` is the cluster's pod range: traffic from elsewhere to a
    ClusterIP is masqueraded. ``node_ips`` are the addresses that serve node ports.
    """

    name: str
    node_ips: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    zone: str = ""
    masquerade_all: bool = False


@dataclass(frozen=True, slots=True)
class Ruleset:
    node: NodeConfig
    ports: dict[PortKey, PortRules] = field(default_factory=dict)
