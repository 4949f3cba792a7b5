"""Budgets: how many more pods may go."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.disruption.objects import Budget
from seamark.controllers.disruption.plan import plan_budget
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time
from seamark.testing.builders import START, as_kind, make_meta, make_pod, owner

NOW = START + 100


def budget(disrupted: dict[str, str] | None = None, **spec: Any) -> Budget:
    status = {"disruptedPods": disrupted or {}}
    return as_kind(Budget, {"metadata": make_meta("pdb", generation=3), "spec": spec, "status": status})


def pods(count: int, *, ready: int | None = None, **meta: Any) -> list[WorkloadPod]:
    owners = [owner("ReplicaSet", "web")]
    limit = count if ready is None else ready
    return [
        as_kind(WorkloadPod, make_pod(f"p{i}", ready=i < limit, ownerReferences=owners, **meta)) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("given", "found", "allowed"),
    [
        pytest.param(budget(minAvailable=2), pods(3), 1, id="one to spare"),
        pytest.param(budget(minAvailable=3), pods(3), 0, id="none to spare"),
        pytest.param(budget(minAvailable=2), pods(4, ready=2), 0, id="unready ones do not count"),
        pytest.param(budget(minAvailable="50%"), pods(4), 2, id="a share of what there should be"),
        pytest.param(budget(maxUnavailable=1), pods(4), 1, id="one at a time"),
        pytest.param(budget(maxUnavailable="30%"), pods(4), 2, id="a fraction goes up"),
        pytest.param(budget(minAvailable=0), [], 0, id="no pods"),
        pytest.param(budget({"p0": format_time(NOW - 60)}, minAvailable=2), pods(4), 1, id="one was let go"),
        pytest.param(budget({"p0": format_time(NOW - 130)}, minAvailable=2), pods(4), 2, id="and did not"),
    ],
)
def test_allowed(given: Budget, found: list[WorkloadPod], allowed: int) -> None:
    status = plan_budget(given, found, {"uid-web": 4}, now=NOW).status
    assert status.disruptions_allowed == allowed
    assert status.observed_generation == 3
    (condition,) = status.conditions or []
    assert (condition.status, condition.reason) == (
        ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    )


def test_nothing_may_go_when_nobody_knows_how_many_there_should_be() -> None:
    status = plan_budget(budget(maxUnavailable=1), pods(3), {}, now=NOW).status
    assert status.disruptions_allowed == 0
    assert (status.conditions or [])[0].reason == "SyncFailed"


def test_the_status_holds_still() -> None:
    first = plan_budget(budget(minAvailable=1), pods(2), {}, now=NOW).status
    again = Budget(metadata=budget().metadata, spec=budget(minAvailable=1).spec, status=first)
    assert plan_budget(again, pods(2), {}, now=NOW + 50).status == first


def test_looks_again_when_an_eviction_is_overdue() -> None:
    assert plan_budget(budget({"p0": format_time(NOW - 60)}, minAvailable=1), pods(2), {}, now=NOW).again == 60
