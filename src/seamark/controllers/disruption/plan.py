"""A PodDisruptionBudget and its pods -> its status: how many more may go.

``maxUnavailable`` and percentages are of the number of pods that there should be, which the pods' controllers know:
``scales`` gives it by controller uid. An eviction that was let through counts at once, before its pod is marked, and
for two minutes at most (kubernetes pkg/controller/disruption).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seamark.controllers.disruption.objects import Budget, BudgetCondition, BudgetStatus
from seamark.controllers.owners import controller_of
from seamark.controllers.shares import resolve_share
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time, parse_time

DISRUPTION_SECONDS = 120.0
CONDITION = "DisruptionAllowed"


class Plan(NamedTuple):
    status: BudgetStatus
    again: float | None


def plan_budget(budget: Budget, pods: Sequence[WorkloadPod], scales: Mapping[str, int], *, now: float) -> Plan:
    """``pods`` are those that the budget selects; without a scale for one of them nothing may go."""
    live = [pod for pod in pods if not pod.is_finished]
    problem, expected, desired = _expected(budget, live, scales)
    disrupted = _disrupted(budget, live, now)
    healthy = sum(pod.is_ready and not pod.is_terminating and pod.metadata.name not in disrupted for pod in live)
    allowed = 0 if problem or expected <= 0 else max(0, healthy - desired)
    if problem:
        condition = BudgetCondition(CONDITION, "False", "SyncFailed", problem)
    elif allowed:
        condition = BudgetCondition(CONDITION, "True", "SufficientPods")
    else:
        condition = BudgetCondition(CONDITION, "False", "InsufficientPods")
    status = BudgetStatus(
        observed_generation=budget.metadata.generation,
        disrupted_pods=disrupted or None,
        disruptions_allowed=allowed,
        current_healthy=healthy,
        desired_healthy=desired,
        expected_pods=expected,
        conditions=_conditions(budget, condition, now),
    )
    waits = [parse_time(at) + DISRUPTION_SECONDS - now for at in disrupted.values()]
    return Plan(status, min(waits, default=None))


def _expected(budget: Budget, pods: Sequence[WorkloadPod], scales: Mapping[str, int]) -> tuple[str, int, int]:
    """What is wrong, the pods there should be, and the healthy ones there must be."""
    least, most = budget.spec.min_available, budget.spec.max_unavailable
    if most is None and isinstance(least, int):
        return "", len(pods), least
    if most is None and least is None:
        return "", len(pods), 0
    owners = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner is None:
            continue  # nobody says how many of these there should be
        if owner.uid not in scales:
            return f"found no controllers for pod {pod.metadata.name!r}: {owner.kind} {owner.name}", 0, 0
        owners[owner.uid] = scales[owner.uid]
    expected = sum(owners.values())
    if most is not None:
        return "", expected, max(0, expected - resolve_share(most, expected, up=True))
    assert least is not None
    return "", expected, resolve_share(least, expected, up=True)


def _disrupted(budget: Budget, pods: Sequence[WorkloadPod], now: float) -> dict[str, str]:
    there = {pod.metadata.name for pod in pods if not pod.is_terminating}
    known = budget.status.disrupted_pods or {}
    return {name: at for name, at in known.items() if name in there and parse_time(at) + DISRUPTION_SECONDS > now}


def _conditions(budget: Budget, wanted: BudgetCondition, now: float) -> list[BudgetCondition]:
    known = next((c for c in budget.status.conditions or () if c.type == CONDITION), None)
    since = known.last_transition_time if known and known.status == wanted.status else format_time(now)
    others = [c for c in budget.status.conditions or () if c.type != CONDITION]
    generation = budget.metadata.generation
    new = BudgetCondition(CONDITION, wanted.status, wanted.reason, wanted.message, generation, since)
    return [*others, new]
