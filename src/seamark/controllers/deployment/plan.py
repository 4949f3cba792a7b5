"""Deployment and its ReplicaSets -> the next step of the rollout, and the status.

One step at a time: every write comes back as an event, and the next step starts from what is then there. So a step
that fails half-way, or a controller that starts anew in the middle, goes on from the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from seamark.controllers.deployment.replicasets import (
    REVISION,
    by_age,
    plan_annotations,
    render_replicaset,
    revision_of,
    scale_annotations,
    select_new,
)
from seamark.controllers.deployment.rolling import (
    Scale,
    bounds,
    is_rolling,
    is_scaling,
    new_replicas,
    plan_rolling,
    plan_scaling,
)
from seamark.controllers.deployment.status import deadline_in, is_complete, plan_status
from seamark.controllers.workloads import Deployment, DeploymentStatus, ReplicaSet


class CreateSet(NamedTuple):
    obj: dict[str, Any]


class PatchSet(NamedTuple):
    rs: ReplicaSet
    patch: dict[str, Any]
    replicas: int
    """The size after it; the same as before where only annotations change."""


class DeleteSet(NamedTuple):
    rs: ReplicaSet


class SetRevision(NamedTuple):
    """The Deployment's own annotation."""

    revision: str


Action = CreateSet | PatchSet | DeleteSet | SetRevision


class Plan(NamedTuple):
    actions: tuple[Action, ...]
    status: DeploymentStatus
    again: float | None


def plan_deployment(
    d: Deployment, sets: Sequence[ReplicaSet], *, has_pods: Callable[[ReplicaSet], bool], now: float
) -> Plan:
    """``has_pods`` says whether a set still has pods that are not finished (Recreate waits for them to go)."""
    new = select_new(d, sets)
    old = [rs for rs in by_age(sets) if rs is not new]
    actions: list[Action] = []
    if d.metadata.deletion_timestamp is None:
        actions = _plan_step(d, new, old, has_pods)
    created = next((a.obj["metadata"]["name"] for a in actions if isinstance(a, CreateSet)), "")
    status = plan_status(d, new, old, created=created, now=now)
    if not actions and (d.spec.paused or is_complete(d, status)) and d.metadata.deletion_timestamp is None:
        actions = _plan_cleanup(d, old)
    return Plan(tuple(actions), status, deadline_in(d, status, now))


def _plan_step(
    d: Deployment, new: ReplicaSet | None, old: list[ReplicaSet], has_pods: Callable[[ReplicaSet], bool]
) -> list[Action]:
    named = _plan_revision(d, new, old)
    if named:
        return named
    if d.spec.paused or is_scaling(d, [*old, *([new] if new else [])]):
        return _patches(d, plan_scaling(d, new, old))
    if is_rolling(d):
        return _patches(d, plan_rolling(d, new, old)) if new else [_create(d, old)]
    return _plan_recreate(d, new, old, has_pods)


def _plan_recreate(
    d: Deployment, new: ReplicaSet | None, old: list[ReplicaSet], has_pods: Callable[[ReplicaSet], bool]
) -> list[Action]:
    running = [Scale(rs, 0) for rs in old if rs.spec.replicas]
    if running:
        return _patches(d, running)
    if any(has_pods(rs) for rs in old):
        return []
    if new is None:
        return [_create(d, old)]
    return _patches(d, [Scale(new, d.spec.replicas)])


def _plan_revision(d: Deployment, new: ReplicaSet | None, old: list[ReplicaSet]) -> list[Action]:
    """The new set carries the highest revision, and the Deployment's annotation says the same."""
    if new is None:
        return []
    if not d.spec.paused:
        patch: dict[str, Any] = {}
        if annotations := plan_annotations(d, new, _next_revision(old)):
            patch["metadata"] = {"annotations": annotations}
        if new.spec.min_ready_seconds != d.spec.min_ready_seconds:
            patch["spec"] = {"minReadySeconds": d.spec.min_ready_seconds}
        if patch:
            return [PatchSet(new, patch, new.spec.replicas)]
    revision = new.annotations.get(REVISION, "")
    return [SetRevision(revision)] if revision and d.annotations.get(REVISION) != revision else []


def _next_revision(old: Sequence[ReplicaSet]) -> int:
    return max((revision_of(rs) for rs in old), default=0) + 1


def _create(d: Deployment, old: list[ReplicaSet]) -> CreateSet:
    total = sum(rs.spec.replicas for rs in old)
    replicas = new_replicas(d, 0, total)
    return CreateSet(render_replicaset(d, replicas=replicas, revision=_next_revision(old), surge=bounds(d).surge))


def _patches(d: Deployment, scales: Sequence[Scale]) -> list[Action]:
    """A resize also tells the set what the Deployment wants, so that a later change of size is noticed."""
    annotations = scale_annotations(d, bounds(d).surge)
    found: list[Action] = []
    for rs, replicas in scales:
        patch: dict[str, Any] = {}
        if any(rs.annotations.get(k) != v for k, v in annotations.items()):
            patch["metadata"] = {"annotations": annotations}
        if rs.spec.replicas != replicas:
            patch["spec"] = {"replicas": replicas}
        if patch:
            found.append(PatchSet(rs, patch, replicas))
    return found


def _plan_cleanup(d: Deployment, old: Sequence[ReplicaSet]) -> list[Action]:
    """Old versions beyond revisionHistoryLimit go, the oldest revision first, and only when they are empty."""
    if d.spec.revision_history_limit is None:
        return []
    kept = [rs for rs in old if rs.metadata.deletion_timestamp is None]
    surplus = sorted(kept, key=revision_of)[: max(0, len(kept) - d.spec.revision_history_limit)]
    return [DeleteSet(rs) for rs in surplus if not rs.spec.replicas and _is_settled(rs)]


def _is_settled(rs: ReplicaSet) -> bool:
    return not rs.status.replicas and rs.status.observed_generation >= rs.metadata.generation
