"""Pod failure policies, limits per index, success policies: what a Job does about its pods' ends."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.job.indexes import COMPLETION_INDEX, FAILURE_COUNT
from seamark.controllers.job.objects import Job
from seamark.controllers.job.plan import TRACKING, Plan, plan_job
from seamark.controllers.job.policies import judge_failure, match_success
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time
from seamark.testing.builders import START, as_kind, make_meta, make_pod, make_template

NOW = START + 1000
DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
RULES = [
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
    {"action": "Ignore", "onPodConditions": [DISRUPTED]},
    {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}},
]


def job(status: dict[str, Any] | None = None, **spec: Any) -> Job:
    whole = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "template": make_template(), **spec}
    whole.setdefault("backoffLimit", 2**31 - 1)
    obj = {"metadata": make_meta("work"), "spec": whole, "status": {"startTime": format_time(START), **(status or {})}}
    return as_kind(Job, obj)


def pod(name: str, index: int, phase: str = "Failed", *, code: int = 1, before: int = 0, **more: Any) -> WorkloadPod:
    annotations = {COMPLETION_INDEX: str(index), FAILURE_COUNT: str(before)}
    obj = make_pod(name, finalizers=[TRACKING], annotations=annotations)
    end = {"terminated": {"exitCode": code, "finishedAt": format_time(START)}}
    state = {"name": "main", "state": end} if phase != "Running" else {"name": "main"}
    obj["status"] = {"phase": phase, "containerStatuses": [state], **more}
    return as_kind(WorkloadPod, obj)


def ending(plan: Plan) -> str:
    return next(
        (c.reason for c in plan.status.conditions or () if c.type in ("FailureTarget", "SuccessCriteriaMet")), ""
    )


@pytest.mark.parametrize(
    ("failed", "action", "message"),
    [
        pytest.param(
            pod("a", 0, code=42),
            "FailJob",
            "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 0",
            id="by a code",
        ),
        pytest.param(
            pod("a", 0, conditions=[DISRUPTED]),
            "Ignore",
            "Pod default/a has condition DisruptionTarget matching Ignore rule at index 1",
            id="by a condition",
        ),
        pytest.param(
            pod("a", 0, code=3),
            "FailIndex",
            "Container main for pod default/a failed with exit code 3 matching FailIndex rule at index 2",
            id="by the last rule",
        ),
        pytest.param(pod("a", 0), "Count", "", id="by none"),
    ],
)
def test_judge_failure(failed: WorkloadPod, action: str, message: str) -> None:
    assert judge_failure(job(podFailurePolicy={"rules": RULES}), failed) == (action, message)


def test_job_fails_at_once_by_a_rule() -> None:
    given = job(podFailurePolicy={"rules": RULES})
    plan = plan_job(given, [pod("a", 0, code=42), pod("b", 1, "Running")], now=NOW)
    assert ending(plan) == "PodFailurePolicy"
    assert [one.metadata.name for one in plan.delete] == ["b"]


def test_ignored_failures_do_not_count() -> None:
    given = job(podFailurePolicy={"rules": RULES}, backoffLimit=0)
    plan = plan_job(given, [pod("a", 0, conditions=[DISRUPTED])], now=NOW)
    assert ending(plan) == ""
    assert plan.status.uncounted_terminated_pods is not None
    assert plan.status.uncounted_terminated_pods.failed is None
    assert [one.metadata.name for one in plan.untrack] == ["a"]
    assert plan.create == (0, 1, 2)


def test_each_index_has_its_own_limit() -> None:
    given = job(backoffLimitPerIndex=1)
    first = plan_job(given, [pod("a", 0)], now=NOW)
    assert first.create == (0, 1, 2)
    assert (first.failures, first.untrack) == ({0: (1, 0)}, ())  # it is still needed: it knows how often
    again = plan_job(given, [pod("a", 0), pod("a2", 0, "Running", before=1)], now=NOW)
    assert [one.metadata.name for one in again.untrack] == ["a"]
    given_up = plan_job(given, [pod("a2", 0, before=1)], now=NOW)
    assert (given_up.status.failed_indexes, given_up.create) == ("0", (1, 2))
    assert [one.metadata.name for one in given_up.untrack] == ["a2"]


def test_failed_index_waits_for_its_turn_alone() -> None:
    plan = plan_job(job(backoffLimitPerIndex=9), [pod("a", 0, before=1)], now=START + 5)
    assert (plan.create, plan.again) == ((1, 2), 15.0)


@pytest.mark.parametrize(
    ("spec", "status", "pods", "reason"),
    [
        pytest.param({}, {"completedIndexes": "0,1"}, [pod("c", 2, before=1)], "FailedIndexes", id="all are decided"),
        pytest.param({}, {"failedIndexes": "0"}, [], "", id="some are not"),
        pytest.param(
            {"maxFailedIndexes": 0}, {}, [pod("a", 0, before=1)], "MaxFailedIndexesExceeded", id="more than may fail"
        ),
        pytest.param(
            {"podFailurePolicy": {"rules": RULES}, "completions": 1},
            {},
            [pod("a", 0, code=3)],
            "FailedIndexes",
            id="rule",
        ),
    ],
)
def test_ending_by_index(spec: dict[str, Any], status: dict[str, Any], pods: list[WorkloadPod], reason: str) -> None:
    assert ending(plan_job(job(status, backoffLimitPerIndex=1, **spec), pods, now=NOW)) == reason


@pytest.mark.parametrize(
    ("rules", "indexes", "message"),
    [
        pytest.param([{"succeededIndexes": "0,2"}], {0, 1}, "", id="not all of them"),
        pytest.param([{"succeededIndexes": "0,2"}], {0, 2}, "Matched rules at index 0", id="all of them"),
        pytest.param(
            [{"succeededIndexes": "0-2", "succeededCount": 2}], {0, 2}, "Matched rules at index 0", id="enough of them"
        ),
        pytest.param([{"succeededIndexes": "2"}, {"succeededCount": 1}], {0}, "Matched rules at index 1", id="any"),
    ],
)
def test_match_success(rules: list[dict[str, Any]], indexes: set[int], message: str) -> None:
    assert match_success(job(successPolicy={"rules": rules}), frozenset(indexes)) == message


def test_success_policy_ends_the_rest() -> None:
    given = job(successPolicy={"rules": [{"succeededIndexes": "0"}]})
    plan = plan_job(given, [pod("a", 0, "Succeeded", code=0), pod("b", 1, "Running")], now=NOW)
    assert ending(plan) == "SuccessPolicy"
    assert [one.metadata.name for one in plan.delete] == ["b"]
