"""policy/v1 PodDisruptionBudget as its controller reads it."""

from __future__ import annotations

import msgspec

from seamark.controllers.workloads import Selector
from seamark.model.meta import Object, Projection


class BudgetCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str | None = None


class BudgetSpec(Projection, frozen=True):
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    selector: Selector | None = None


class BudgetStatus(Projection, frozen=True):
    """``disrupted_pods``: evictions that were let through, by pod, until they show."""

    observed_generation: int = 0
    disrupted_pods: dict[str, str] | None = None
    disruptions_allowed: int | None = None
    current_healthy: int | None = None
    desired_healthy: int | None = None
    expected_pods: int | None = None
    conditions: list[BudgetCondition] | None = None


class Budget(Object, frozen=True):
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = msgspec.field(default_factory=BudgetStatus)
