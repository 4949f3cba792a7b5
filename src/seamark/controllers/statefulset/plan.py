"""StatefulSet and its pods -> which pods to make and delete now, and the status.

Rules:

* Pod *n* has the name ``SET-n``, whatever happens; at most one pod has it at any time.
* ``OrderedReady``: a pod is made only when all before it are running and ready, deleted only when none after it is
  there; one step at a time. ``Parallel``: creation and scaling do not wait, updates still do.
* An update replaces from the highest ordinal down to ``partition``; at most ``maxUnavailable`` (one) are not ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from seamark.controllers.pods import is_available, next_availability
from seamark.controllers.shares import resolve_share
from seamark.controllers.statefulset.pods import ordinal_of, revision_of
from seamark.controllers.workloads import StatefulSet, StatefulSetStatus, WorkloadPod


class CreatePod(NamedTuple):
    ordinal: int
    revision: str


class DeletePod(NamedTuple):
    pod: WorkloadPod


Action = CreatePod | DeletePod


class Plan(NamedTuple):
    actions: tuple[Action, ...]
    again: float | None


class Revisions(NamedTuple):
    """Names of ControllerRevisions: what pods below the partition have, and what the template says now."""

    current: str
    update: str


def plan_pods(ss: StatefulSet, pods: Sequence[WorkloadPod], revisions: Revisions, *, now: float) -> Plan:
    """``pods`` are all that the set controls."""
    if ss.metadata.deletion_timestamp is not None:
        return Plan((), None)
    found = {ordinal: pod for pod in pods if (ordinal := ordinal_of(ss, pod)) is not None}
    wanted = ordinals(ss)
    again = next_availability(list(found.values()), ss.spec.min_ready_seconds, now)
    ordered = ss.spec.pod_management_policy != "Parallel"
    actions, waits = _plan_replicas(ss, found, revisions, ordered=ordered, now=now)
    if ordered and (actions or waits):
        return Plan(tuple(actions), again)
    condemned = [found[ordinal] for ordinal in sorted(found, reverse=True) if ordinal not in wanted]
    more, waits_more = _plan_condemned(found, wanted, condemned, ordered=ordered)
    actions += more
    if actions or (ordered and waits_more):
        return Plan(tuple(actions), again)
    return Plan(tuple(_plan_update(ss, found, revisions, now)), again)


def ordinals(ss: StatefulSet) -> range:
    start = ss.spec.ordinals.start if ss.spec.ordinals else 0
    return range(start, start + ss.spec.replicas)


def _partition(ss: StatefulSet) -> int:
    rolling = ss.spec.update_strategy.rolling_update
    return (rolling.partition if rolling else None) or 0


def _is_healthy(ss: StatefulSet, pod: WorkloadPod, now: float) -> bool:
    return (
        pod.status.phase == "Running" and not pod.is_terminating and is_available(pod, ss.spec.min_ready_seconds, now)
    )


def _revision_for(ss: StatefulSet, ordinal: int, revisions: Revisions) -> str:
    below = ordinal - ordinals(ss).start < _partition(ss)
    return revisions.current if ss.spec.update_strategy.type != "OnDelete" and below else revisions.update


def _plan_replicas(
    ss: StatefulSet, found: Mapping[int, WorkloadPod], revisions: Revisions, *, ordered: bool, now: float
) -> tuple[list[Action], bool]:
    """Missing pods are made and finished ones deleted to be made anew; says whether the order asks to wait."""
    actions: list[Action] = []
    for ordinal in ordinals(ss):
        pod = found.get(ordinal)
        if pod is None:
            actions.append(CreatePod(ordinal, _revision_for(ss, ordinal, revisions)))
        elif pod.is_finished and not pod.is_terminating:
            actions.append(DeletePod(pod))
        elif ordered and not _is_healthy(ss, pod, now):
            return actions, True
        if ordered and actions:
            return actions, True
    return actions, False


def _plan_condemned(
    found: Mapping[int, WorkloadPod], wanted: range, condemned: Sequence[WorkloadPod], *, ordered: bool
) -> tuple[list[Action], bool]:
    """From the highest down. An unhealthy pod with a lower number holds the scale-down up, as it may need its peers."""
    if not ordered:
        return [DeletePod(pod) for pod in condemned if not pod.is_terminating], bool(condemned)
    for pod in condemned[:1]:
        if pod.is_terminating:
            return [], True
        first_unhealthy = next((p for _, p in sorted(found.items()) if not p.is_ready or p.is_terminating), None)
        if first_unhealthy is not None and first_unhealthy is not pod and not pod.is_ready:
            return [], True
        return [DeletePod(pod)], True
    return [], False


def _plan_update(ss: StatefulSet, found: Mapping[int, WorkloadPod], revisions: Revisions, now: float) -> list[Action]:
    if ss.spec.update_strategy.type == "OnDelete":
        return []
    rolling = ss.spec.update_strategy.rolling_update
    bound = rolling.max_unavailable if rolling is not None and rolling.max_unavailable is not None else 1
    room = max(1, resolve_share(bound, ss.spec.replicas, up=False))
    actions: list[Action] = []
    for ordinal in reversed(ordinals(ss)[_partition(ss) :]):
        pod = found.get(ordinal)
        is_old = pod is not None and not pod.is_terminating and revision_of(pod) != revisions.update
        if pod is not None and is_old:
            actions.append(DeletePod(pod))
        if pod is None or is_old or not _is_healthy(ss, pod, now):
            room -= 1
        if not room:
            break
    return actions


def plan_status(ss: StatefulSet, pods: Sequence[WorkloadPod], revisions: Revisions, *, now: float) -> StatefulSetStatus:
    mine = [pod for pod in pods if ordinal_of(ss, pod) is not None]
    live = [pod for pod in mine if not pod.is_terminating]
    ready = [pod for pod in live if pod.status.phase == "Running" and pod.is_ready]
    status = StatefulSetStatus(
        observed_generation=ss.metadata.generation,
        replicas=len(mine),
        ready_replicas=len(ready),
        available_replicas=sum(is_available(pod, ss.spec.min_ready_seconds, now) for pod in ready),
        current_replicas=sum(revision_of(pod) == revisions.current for pod in live),
        updated_replicas=sum(revision_of(pod) == revisions.update for pod in live),
        current_revision=revisions.current,
        update_revision=revisions.update,
        collision_count=ss.status.collision_count or 0,
        conditions=ss.status.conditions,
    )
    done = status.updated_replicas == status.ready_replicas == status.replicas == ss.spec.replicas
    if done and ss.spec.update_strategy.type != "OnDelete":
        return msgspec.structs.replace(
            status, current_revision=revisions.update, current_replicas=status.updated_replicas
        )
    return status
