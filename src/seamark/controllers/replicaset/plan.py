"""ReplicaSet or ReplicationController -> which pods to make and to delete, and the status they add up to.

Which pods go first when there are too many is the order that users of apps/v1 rely on (ActivePodsWithRanks):
unassigned before assigned, Pending before Running, not ready before ready, the lower pod-deletion-cost, more
siblings on the same node, ready for a shorter time, more restarts, younger; names break the last ties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from seamark.controllers.pods import created_at, is_active, is_available, next_availability
from seamark.controllers.workloads import Condition, ReplicaSet, ReplicaSetStatus, ReplicationController, WorkloadPod
from seamark.machinery.clock import format_time, parse_time

AnySet = ReplicaSet | ReplicationController

BURST = 500  # creations and deletions in one reconcile
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


class Plan(NamedTuple):
    create: int
    delete: tuple[WorkloadPod, ...]
    again: float | None
    """In how many seconds a ready pod becomes available."""


def plan_replicas(rs: AnySet, pods: Sequence[WorkloadPod], *, now: float) -> Plan:
    """``pods`` are all that the set controls. A set being deleted makes and deletes nothing: that is the GC's."""
    active = [pod for pod in pods if is_active(pod)]
    again = next_availability(active, rs.spec.min_ready_seconds, now)
    if rs.metadata.deletion_timestamp is not None:
        return Plan(0, (), None)
    missing = rs.spec.replicas - len(active)
    if missing >= 0:
        return Plan(min(missing, BURST), (), again)
    return Plan(0, tuple(select_to_delete(active)[: min(-missing, BURST)]), again)


def select_to_delete(pods: Sequence[WorkloadPod]) -> list[WorkloadPod]:
    """All pods, those to delete first in front."""
    siblings = Counter(pod.spec.node_name for pod in pods)
    return sorted(pods, key=lambda pod: _rank(pod, siblings[pod.spec.node_name]))


def _rank(pod: WorkloadPod, siblings: int) -> tuple[bool, int, bool, int, int, float, int, float, str]:
    ready = pod.condition("Ready")
    since = parse_time(ready.last_transition_time) if ready and ready.last_transition_time else 0.0
    restarts = max((c.restart_count for c in pod.status.container_statuses or ()), default=0)
    return (
        bool(pod.spec.node_name),
        _PHASES.get(pod.status.phase, 0),
        pod.is_ready,
        _cost(pod),
        -siblings,
        -since if pod.is_ready else 0.0,
        -restarts,
        -created_at(pod),
        pod.metadata.name,
    )


def _cost(pod: WorkloadPod) -> int:
    try:
        return int(pod.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0  # the API refuses others; an old one counts as none


def plan_status(rs: AnySet, pods: Sequence[WorkloadPod], *, failure: str, now: float) -> ReplicaSetStatus:
    """``failure`` is why a pod could not be made just now, empty if nothing failed."""
    active = [pod for pod in pods if is_active(pod)]
    wanted = (rs.spec.template.get("metadata") or {}).get("labels") or {}
    return ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(wanted.items() <= pod.labels.items() for pod in active),
        ready_replicas=sum(pod.is_ready for pod in active),
        available_replicas=sum(is_available(pod, rs.spec.min_ready_seconds, now) for pod in active),
        observed_generation=rs.metadata.generation,
        conditions=_conditions(rs, failure, now) or None,
    )


def _conditions(rs: AnySet, failure: str, now: float) -> list[Condition]:
    kept = [c for c in rs.status.conditions or () if c.type != "ReplicaFailure"]
    known = next((c for c in rs.status.conditions or () if c.type == "ReplicaFailure"), None)
    if not failure:
        return kept
    if known is not None and known.message == failure:
        return [*kept, known]
    at = known.last_transition_time if known else format_time(now)
    return [*kept, Condition("ReplicaFailure", "True", "FailedCreate", failure, last_transition_time=at)]
