"""A pod, the nodes and what is already on them -> the node, or why none.

Filters first (each says its reason in kube-scheduler's words, since that is what `kubectl describe pod` shows), then
scores: fewest pods of the same owner, fewest pods that select the same, most room left. Ties are broken by name, so
the same cluster always gives the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from seamark.machinery.nodematch import matches_node, untolerated
from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.model.node import Taint
from seamark.scheduler.podspec import OfferingNode, RequestingContainer, RequestingPod

SCHEDULER_NAME = "default-scheduler"
DEFAULT_MAX_PODS = 110
COUNTED = ("cpu", "memory", "ephemeral-storage")
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")

Amounts = dict[str, int]
HostPort = tuple[str, int]


@dataclass
class NodeState:
    """A node and the sums over its pods; kept up to date by ``add`` and ``remove``, never recounted."""

    node: OfferingNode | None = None
    pods: dict[str, RequestingPod] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    ports: Counter[HostPort] = field(default_factory=Counter)

    def add(self, pod: RequestingPod) -> None:
        self.pods[pod.metadata.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: RequestingPod, by: int) -> None:
        for name, amount in requested(pod).items():
            self.used[name] += by * amount
        self.owners[owner_of(pod)] += by
        for port in host_ports(pod):
            self.ports[port] += by


class Decision(NamedTuple):
    """``node`` empty = none fits, and ``message`` says why."""

    node: str
    message: str


def plan_placement(pod: RequestingPod, nodes: Mapping[str, NodeState]) -> Decision:
    reasons: Counter[str] = Counter()
    fitting: list[tuple[str, NodeState]] = []
    total = 0
    for name, state in nodes.items():
        if state.node is None:
            continue
        total += 1
        found = why_not(pod, state)
        reasons.update(found)
        if not found:
            fitting.append((name, state))
    if not fitting:
        return Decision("", _message(total, reasons))
    owner = owner_of(pod)
    return Decision(min(fitting, key=lambda item: _score(item[1], owner, item[0]))[0], "")


def _message(total: int, reasons: Counter[str]) -> str:
    if not total:
        return "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{total} nodes are available: {listed}."


def _score(state: NodeState, owner: str, name: str) -> tuple[int, int, int, str]:
    siblings = state.owners[owner] if owner else 0
    return (siblings, len(state.pods), state.used["cpu"], name)


def why_not(pod: RequestingPod, state: NodeState) -> list[str]:
    """Nothing for a node that fits; else the first reason, or every resource that is short."""
    node, spec = state.node, pod.spec
    if node is None:
        return ["node(s) were not found"]
    if spec.node_name and spec.node_name != node.metadata.name:
        return ["node(s) didn't match the requested node name"]
    tolerations = spec.tolerations or ()
    if node.spec.unschedulable and untolerated([UNSCHEDULABLE], tolerations, effects=("NoSchedule",)):
        return ["node(s) were unschedulable"]
    taint = untolerated(node.spec.taints or (), tolerations, effects=("NoSchedule", "NoExecute"))
    if taint is not None:
        shown = f"{taint.key}: {taint.value}" if taint.value else f"{taint.key}: "
        return [f"node(s) had untolerated taint {{{shown}}}"]
    if not node.is_ready and not _is_daemon(pod):
        return ["node(s) were not ready"]
    if not matches_node(node, spec.node_selector, spec.affinity):
        return ["node(s) didn't match Pod's node affinity/selector"]
    if any(state.ports[port] for port in host_ports(pod)):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return _short_of(pod, state, node)


def _is_daemon(pod: RequestingPod) -> bool:
    """Daemons are what makes nodes ready; their tolerations have decided already."""
    return any(ref.controller and ref.kind == "DaemonSet" for ref in pod.metadata.owner_references or ())


def _short_of(pod: RequestingPod, state: NodeState, node: OfferingNode) -> list[str]:
    offered = node.status.allocatable or {}
    most = _amount("pods", offered["pods"]) if "pods" in offered else DEFAULT_MAX_PODS
    short = ["Too many pods"] if len(state.pods) >= most else []
    for name, amount in requested(pod).items():
        if name in COUNTED and name not in offered:
            continue  # a node that says nothing limits nothing
        if amount and state.used[name] + amount > _amount(name, offered.get(name, 0)):
            short.append(f"Insufficient {name}")
    return short


def requested(pod: RequestingPod) -> Amounts:
    """CPU in thousandths, all else in units: the sum over containers or the largest init container, if that is more."""
    running: Counter[str] = Counter()
    starting: Counter[str] = Counter()
    for container in pod.spec.containers or ():
        running.update(_requests(container))
    for container in pod.spec.init_containers or ():
        amounts = _requests(container)
        if container.restart_policy == "Always":  # a sidecar stays (KEP-753)
            running.update(amounts)
        else:
            starting |= Counter(amounts)
    total = running | starting
    for name, value in (pod.spec.overhead or {}).items():
        total[name] += _amount(name, value)
    return dict(total)


def _requests(container: RequestingContainer) -> Amounts:
    return {name: _amount(name, value) for name, value in (container.resources.requests or {}).items()}


def _amount(name: str, value: str | int | float) -> int:
    try:
        quantity = parse_quantity(value)
    except QuantityError:
        return 0  # the API refuses these; one that is stored all the same must not stop the scheduler
    return quantity.millis if name == "cpu" else int(quantity)


def host_ports(pod: RequestingPod) -> list[HostPort]:
    containers: Iterable[RequestingContainer] = pod.spec.containers or ()
    return [
        (port.protocol, port.host_port) for container in containers for port in container.ports or () if port.host_port
    ]


def owner_of(pod: RequestingPod) -> str:
    return next((ref.uid for ref in pod.metadata.owner_references or () if ref.controller), "")


def is_ours(pod: RequestingPod) -> bool:
    """Waiting for a node, and for this scheduler."""
    return (
        not pod.spec.node_name
        and not pod.is_terminating
        and not pod.is_finished
        and (pod.spec.scheduler_name or SCHEDULER_NAME) == SCHEDULER_NAME
        and not pod.spec.scheduling_gates
    )


def select_order(pods: Sequence[RequestingPod]) -> list[RequestingPod]:
    """Higher priority first, then the older, then by name."""
    return sorted(pods, key=lambda p: (-(p.spec.priority or 0), p.metadata.creation_timestamp or "", p.metadata.name))
