"""How many pods each ReplicaSet of a Deployment may have at this moment; pure.

A rolling update keeps two promises: never more than replicas + maxSurge pods, never fewer than replicas -
maxUnavailable available ones. Sizes here are wishes (spec), availability is what the statuses say; since statuses lag,
the new set's missing pods count against what may be taken from the old ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from seamark.controllers.deployment.replicasets import by_age, desired_of, maximum_of
from seamark.controllers.shares import resolve_share
from seamark.controllers.workloads import Deployment, ReplicaSet

DEFAULT_BOUND = "25%"


class Scale(NamedTuple):
    """Make this set that big; the same size means that only its annotations are out of date."""

    rs: ReplicaSet
    replicas: int


class Bounds(NamedTuple):
    surge: int
    unavailable: int


def is_rolling(d: Deployment) -> bool:
    return d.spec.strategy.type != "Recreate"


def bounds(d: Deployment) -> Bounds:
    """Surge rounds up, unavailable down; both zero would never get anywhere, so then one may be unavailable."""
    if not is_rolling(d):
        return Bounds(0, 0)
    rolling = d.spec.strategy.rolling_update
    surge = rolling.max_surge if rolling else None
    unavailable = rolling.max_unavailable if rolling else None
    surge = resolve_share(DEFAULT_BOUND if surge is None else surge, d.spec.replicas, up=True)
    unavailable = resolve_share(DEFAULT_BOUND if unavailable is None else unavailable, d.spec.replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge, min(unavailable, d.spec.replicas))


def new_replicas(d: Deployment, new: int, total: int) -> int:
    """The next size of the new set, which has ``new`` of ``total`` wished-for pods."""
    if not is_rolling(d):
        return d.spec.replicas
    room = d.spec.replicas + bounds(d).surge - total
    return new + min(room, d.spec.replicas - new) if room > 0 else new


def plan_rolling(d: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> list[Scale]:
    """One step: first let the new set grow; only when it cannot, take from the old ones."""
    total = new.spec.replicas + sum(rs.spec.replicas for rs in old)
    if new.spec.replicas > d.spec.replicas:
        return [Scale(new, d.spec.replicas)]
    size = new_replicas(d, new.spec.replicas, total)
    if size != new.spec.replicas:
        return [Scale(new, size)]
    return _shrink_old(d, new, by_age(old), total)


def _shrink_old(d: Deployment, new: ReplicaSet, old: list[ReplicaSet], total: int) -> list[Scale]:
    least = d.spec.replicas - bounds(d).unavailable
    missing = max(0, new.spec.replicas - new.status.available_replicas)
    spare = total - least - missing
    if spare <= 0:
        return []
    sizes = {rs.metadata.name: rs.spec.replicas for rs in old}
    for rs in old:  # pods that serve nobody go first, and do not lower availability
        broken = max(0, rs.spec.replicas - rs.status.available_replicas)
        taken = min(spare, broken)
        sizes[rs.metadata.name] -= taken
        spare -= taken
    available = new.status.available_replicas + sum(rs.status.available_replicas for rs in old)
    healthy = min(spare, available - least)
    for rs in old:
        taken = max(0, min(healthy, sizes[rs.metadata.name]))
        sizes[rs.metadata.name] -= taken
        healthy -= taken
    return [Scale(rs, sizes[rs.metadata.name]) for rs in old if sizes[rs.metadata.name] != rs.spec.replicas]


def is_scaling(d: Deployment, sets: Sequence[ReplicaSet]) -> bool:
    """Did somebody change spec.replicas since the sets were last told?"""
    return any(rs.spec.replicas > 0 and desired_of(rs) not in (None, d.spec.replicas) for rs in sets)


def plan_scaling(d: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> list[Scale]:
    """The Deployment's size changed, or it is paused: resize without moving the rollout on."""
    sets = [*old, *([new] if new else [])]
    active = [rs for rs in sets if rs.spec.replicas > 0]
    if len(active) <= 1:
        latest = active[0] if active else new or (by_age(old)[-1] if old else None)
        if latest is None:
            return []
        return [Scale(latest, d.spec.replicas)]
    if new is not None and _is_saturated(d, new):
        return [Scale(rs, 0) for rs in old if rs.spec.replicas]
    if not is_rolling(d):
        return [Scale(rs, rs.spec.replicas) for rs in active]
    return _in_proportion(d, active)


def _is_saturated(d: Deployment, new: ReplicaSet) -> bool:
    return new.spec.replicas == desired_of(new) == new.status.available_replicas == d.spec.replicas


def _in_proportion(d: Deployment, active: list[ReplicaSet]) -> list[Scale]:
    """In the middle of a rollout every set grows or shrinks by its share; the largest takes the rounding."""
    allowed = d.spec.replicas + bounds(d).surge if d.spec.replicas else 0
    to_add = allowed - sum(rs.spec.replicas for rs in active)
    aged = by_age(active)
    if to_add > 0:  # of equal sets the newer grows, the older shrinks
        aged.reverse()
    ordered = sorted(aged, key=lambda rs: -rs.spec.replicas)
    added = 0
    sizes = []
    for rs in ordered:
        share = _share(d, rs, allowed)
        share = min(share, to_add - added) if to_add > 0 else max(share, to_add - added)
        added += share if to_add else 0
        sizes.append(max(0, rs.spec.replicas + (share if to_add else 0)))
    sizes[0] = max(0, sizes[0] + to_add - added)
    return [Scale(rs, size) for rs, size in zip(ordered, sizes, strict=True)]


def _share(d: Deployment, rs: ReplicaSet, allowed: int) -> int:
    if not d.spec.replicas:
        return -rs.spec.replicas
    before = maximum_of(rs) or d.status.replicas or rs.spec.replicas
    return math.floor(rs.spec.replicas * allowed / before + 0.5) - rs.spec.replicas
