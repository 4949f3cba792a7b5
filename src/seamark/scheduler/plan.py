"""A pod, the nodes and what is already on them -> the node, or why none.

Filters first (each says its reason in kube-scheduler's words, since that is what `kubectl describe pod` shows), then
scores: what the pod prefers, fewest pods of the same owner, fewest pods, least CPU asked for. Ties are broken by name,
so the same cluster always gives the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seamark.machinery.nodematch import matches_node, untolerated
from seamark.model.node import Taint
from seamark.scheduler.neighbours import compile_cost, compile_refusals
from seamark.scheduler.nodes import NodeState, amount_of, host_ports, owner_of, requested
from seamark.scheduler.podspec import OfferingNode, RequestingPod
from seamark.scheduler.volumes import VolumeNeeds

SCHEDULER_NAME = "default-scheduler"
DEFAULT_MAX_PODS = 110
COUNTED = ("cpu", "memory", "ephemeral-storage")
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


class Decision(NamedTuple):
    """``node`` empty = none fits, and ``message`` says why."""

    node: str
    message: str


def plan_placement(pod: RequestingPod, nodes: Mapping[str, NodeState], needs: VolumeNeeds | None = None) -> Decision:
    """``needs`` are those of its volumes."""
    refusals = compile_refusals(pod, nodes)
    if needs is not None:
        refusals.append(needs.refuses)
    reasons: Counter[str] = Counter()
    fitting: list[tuple[str, NodeState]] = []
    total = 0
    for name, state in nodes.items():
        if state.node is None:
            continue
        total += 1
        found = why_not(pod, state) or [why for refuses in refusals if (why := refuses(state.node))][:1]
        reasons.update(found)
        if not found:
            fitting.append((name, state))
    if needs is not None and needs.blocked:
        return Decision("", f"0/{total} nodes are available: {needs.blocked}.")
    if not fitting:
        return Decision("", _message(total, reasons))
    cost, owner = compile_cost(pod, nodes), owner_of(pod)

    def score(item: tuple[str, NodeState]) -> tuple[float, int, int, int, str]:
        name, state = item
        siblings = state.owners[owner] if owner else 0
        return (cost(state.node) if state.node else 0, siblings, len(state.pods), state.used["cpu"], name)

    return Decision(min(fitting, key=score)[0], "")


def _message(total: int, reasons: Counter[str]) -> str:
    if not total:
        return "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{total} nodes are available: {listed}."


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
    if not state.has_free(host_ports(pod)):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return _short_of(pod, state, node)


def _is_daemon(pod: RequestingPod) -> bool:
    """Daemons are what makes nodes ready; their tolerations have decided already."""
    return any(ref.controller and ref.kind == "DaemonSet" for ref in pod.metadata.owner_references or ())


def _short_of(pod: RequestingPod, state: NodeState, node: OfferingNode) -> list[str]:
    offered = node.status.allocatable or {}
    most = amount_of("pods", offered["pods"]) if "pods" in offered else DEFAULT_MAX_PODS
    short = ["Too many pods"] if len(state.pods) >= most else []
    for name, amount in requested(pod).items():
        if name in COUNTED and name not in offered:
            continue  # a node that says nothing limits nothing
        if amount and state.used[name] + amount > amount_of(name, offered.get(name, 0)):
            short.append(f"Insufficient {name}")
    return short


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
