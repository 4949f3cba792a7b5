"""core/v1 Node, as far as Seamark reads it."""

from __future__ import annotations

import msgspec

from seamark.model.meta import Object, Projection

ZONE_LABEL = "topology.kubernetes.io/zone"
CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


class Taint(Projection, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Projection, frozen=True):
    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")
    unschedulable: bool = False
    taints: list[Taint] | None = None


class NodeAddress(Projection, frozen=True):
    type: str = ""
    address: str = ""


class NodeCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""


class NodeStatus(Projection, frozen=True):
    addresses: list[NodeAddress] | None = None
    conditions: list[NodeCondition] | None = None
    allocatable: dict[str, str | int | float] | None = None


class Node(Object, frozen=True):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def internal_ips(self) -> tuple[str, ...]:
        return tuple(a.address for a in self.status.addresses or [] if a.type == "InternalIP")

    @property
    def is_ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions or [])
