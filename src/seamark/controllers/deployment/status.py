"""The status of a Deployment: counts, and the conditions Available and Progressing of `kubectl rollout`; pure."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.controllers.conditions import find_condition, set_condition, without_condition
from seamark.controllers.deployment.rolling import bounds
from seamark.controllers.workloads import Condition, Deployment, DeploymentStatus, ReplicaSet
from seamark.machinery.clock import parse_time

AVAILABLE = "NewReplicaSetAvailable"
NO_DEADLINE = 2**31 - 1


def plan_status(
    d: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], *, created: str = "", now: float
) -> DeploymentStatus:
    """``created`` is the name of a new set that this very step makes."""
    sets = [*old, *([new] if new else [])]
    available = sum(rs.status.available_replicas for rs in sets)
    counts = DeploymentStatus(
        observed_generation=d.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets),
        updated_replicas=new.status.replicas if new else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in sets),
        available_replicas=available,
        unavailable_replicas=max(0, sum(rs.spec.replicas for rs in sets) - available),
        collision_count=d.status.collision_count,
    )
    conditions = set_condition(d.status.conditions, _available(d, available), now=now)
    conditions = _progressing(d, counts, conditions, new, created, now)
    return DeploymentStatus(
        **{field: getattr(counts, field) for field in DeploymentStatus.__struct_fields__ if field != "conditions"},
        conditions=conditions,
    )


def is_complete(d: Deployment, status: DeploymentStatus) -> bool:
    wanted = d.spec.replicas
    return (
        status.updated_replicas == status.replicas == status.available_replicas == wanted
        and status.observed_generation >= d.metadata.generation
    )


def deadline_in(d: Deployment, status: DeploymentStatus, now: float) -> float | None:
    """Seconds until a rollout without progress counts as stuck; None where it is done, stuck or has no deadline."""
    progress = find_condition(status.conditions, "Progressing")
    if progress is None or not _has_deadline(d) or d.spec.paused or is_complete(d, status):
        return None
    if progress.reason in (AVAILABLE, "ProgressDeadlineExceeded") or not progress.last_update_time:
        return None
    return max(0.0, parse_time(progress.last_update_time) + (d.spec.progress_deadline_seconds or 0) - now) + 1.0


def _available(d: Deployment, available: int) -> Condition:
    if available >= d.spec.replicas - bounds(d).unavailable:
        message = "Deployment has minimum availability."
        return Condition("Available", "True", "MinimumReplicasAvailable", message)
    message = "Deployment does not have minimum availability."
    return Condition("Available", "False", "MinimumReplicasUnavailable", message)


def _has_deadline(d: Deployment) -> bool:
    return d.spec.progress_deadline_seconds not in (None, NO_DEADLINE)


def _progressing(
    d: Deployment,
    counts: DeploymentStatus,
    conditions: list[Condition],
    new: ReplicaSet | None,
    created: str,
    now: float,
) -> list[Condition]:
    if not _has_deadline(d):
        return without_condition(conditions, "Progressing")
    known = find_condition(conditions, "Progressing")
    pausing = _pausing(d, known)
    if pausing is not None:
        return set_condition(conditions, pausing, now=now)
    if d.spec.paused:
        return conditions
    if created:
        return _progress(conditions, "NewReplicaSetCreated", f'Created new replica set "{created}"', now)
    name = new.metadata.name if new else d.metadata.name
    if known is not None and known.reason == AVAILABLE and counts.replicas == counts.updated_replicas:
        return conditions
    if is_complete(d, counts):
        return _progress(conditions, AVAILABLE, f'ReplicaSet "{name}" has successfully progressed.', now)
    if _moved(d.status, counts):
        return _progress(conditions, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.', now)
    if known is None and new is not None:
        return _progress(conditions, "FoundNewReplicaSet", f'Found new replica set "{name}"', now)
    if _is_stuck(d, known, now):
        message = f'ReplicaSet "{name}" has timed out progressing.'
        return set_condition(
            conditions, Condition("Progressing", "False", "ProgressDeadlineExceeded", message), now=now
        )
    return conditions


def _pausing(d: Deployment, known: Condition | None) -> Condition | None:
    if known is not None and known.reason == "ProgressDeadlineExceeded":
        return None
    paused = known is not None and known.reason == "DeploymentPaused"
    if d.spec.paused and not paused:
        return Condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if paused and not d.spec.paused:
        return Condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    return None


def _progress(conditions: list[Condition], reason: str, message: str, now: float) -> list[Condition]:
    wanted = Condition("Progressing", "True", reason, message)
    return set_condition(conditions, wanted, now=now, refresh=reason != AVAILABLE)


def _moved(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def _is_stuck(d: Deployment, known: Condition | None, now: float) -> bool:
    if known is None or known.reason == AVAILABLE or not known.last_update_time:
        return False
    return parse_time(known.last_update_time) + (d.spec.progress_deadline_seconds or 0) <= now
