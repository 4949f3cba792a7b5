"""Jobs: how many pods, how they are counted, how a Job ends."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.job.indexes import COMPLETION_INDEX, format_indexes, parse_indexes
from seamark.controllers.job.objects import Job
from seamark.controllers.job.plan import TRACKING, plan_job
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time
from seamark.testing.builders import START, as_kind, make_meta, make_pod, make_template

NOW = START + 100


def job(status: dict[str, Any] | None = None, **spec: Any) -> Job:
    whole = {"completions": 1, "parallelism": 1, "template": make_template(), **spec}
    if "completions" in spec and spec["completions"] is None:
        del whole["completions"]
    obj = {"metadata": make_meta("work"), "spec": whole, "status": {"startTime": format_time(START), **(status or {})}}
    return as_kind(Job, obj)


def pod(
    name: str, phase: str = "Running", *, index: int | None = None, ended: float = START, **meta: Any
) -> WorkloadPod:
    if index is not None:
        meta["annotations"] = {COMPLETION_INDEX: str(index)}
    obj = make_pod(name, **{"finalizers": [TRACKING], **meta})
    end = {"terminated": {"exitCode": 1, "finishedAt": format_time(ended)}}
    obj["status"] = {"phase": phase, "containerStatuses": [{"restartCount": 0, "state": end}]}
    return as_kind(WorkloadPod, obj)


GONE = {"deletionTimestamp": format_time(NOW)}


@pytest.mark.parametrize(
    ("given", "pods", "create", "delete"),
    [
        pytest.param(job(), [], 1, 0, id="one"),
        pytest.param(job(completions=5, parallelism=2), [], 2, 0, id="as many as may run"),
        pytest.param(job(completions=3, parallelism=5), [pod("a", "Succeeded")], 2, 0, id="no more than are missing"),
        pytest.param(job(completions=5, parallelism=1), [pod("a"), pod("b")], 0, 1, id="parallelism went down"),
        pytest.param(job(completions=None, parallelism=3), [pod("a")], 2, 0, id="a work queue"),
        pytest.param(
            job(completions=None, parallelism=3), [pod("a", "Succeeded"), pod("b")], 0, 0, id="the queue is empty"
        ),
        pytest.param(job(suspend=True), [pod("a")], 0, 1, id="suspended"),
        pytest.param(job(), [pod("a", **GONE)], 1, 0, id="one on its way out has failed"),
        pytest.param(
            job(podReplacementPolicy="Failed"), [pod("a", node="n", **GONE)], 0, 0, id="unless its end is waited for"
        ),
        pytest.param(job(), [pod("a", "Failed", ended=NOW - 5)], 0, 0, id="ten seconds after a failure"),
        pytest.param(job(), [pod("a", "Failed", ended=NOW - 15)], 1, 0, id="and then again"),
        pytest.param(job(activeDeadlineSeconds=100), [pod("a")], 0, 1, id="out of time"),
        pytest.param(job(backoffLimit=0), [pod("a", "Failed"), pod("b")], 0, 1, id="failed too often"),
    ],
)
def test_pods(given: Job, pods: list[WorkloadPod], create: int, delete: int) -> None:
    plan = plan_job(given, pods, now=NOW)
    assert (len(plan.create), len(plan.delete)) == (create, delete)


def test_an_ended_pod_is_written_down_then_released_then_counted_then_the_job_is_complete() -> None:
    first = plan_job(job(), [pod("a", "Succeeded")], now=NOW)
    assert first.status.uncounted_terminated_pods is not None
    assert first.status.uncounted_terminated_pods.succeeded == ["uid-a"]
    assert (first.status.succeeded, [p.metadata.name for p in first.untrack]) == (0, ["a"])
    assert first.status.has("SuccessCriteriaMet") and not first.status.is_finished
    again = Job(metadata=job().metadata, spec=job().spec, status=first.status)
    assert plan_job(again, [pod("a", "Succeeded")], now=NOW).status == first.status
    last = plan_job(again, [pod("a", "Succeeded", finalizers=[])], now=NOW)
    assert (last.status.succeeded, last.status.has("Complete")) == (1, True)
    assert last.status.completion_time == format_time(NOW)
    gone = plan_job(again, [], now=NOW)
    assert gone.status.succeeded == 1


def test_a_failed_job_says_why() -> None:
    first = plan_job(job(backoffLimit=0), [pod("a", "Failed")], now=NOW)
    again = Job(metadata=job().metadata, spec=job(backoffLimit=0).spec, status=first.status)
    last = plan_job(again, [pod("a", "Failed", finalizers=[])], now=NOW).status
    assert last.failed == 1
    assert [(c.type, c.reason, c.message) for c in last.conditions or ()] == [
        ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
    ]


def test_indexes_that_are_missing_are_made_and_doubles_deleted() -> None:
    given = job(completions=4, parallelism=3, completionMode="Indexed")
    pods = [pod("a", "Succeeded", index=0), pod("b", index=2)]
    plan = plan_job(given, pods, now=NOW)
    assert plan.create == (1, 3)
    assert (plan.status.completed_indexes, plan.status.succeeded) == ("0", 1)
    doubled = plan_job(given, [*pods, pod("c", index=2), pod("d", index=9)], now=NOW)
    assert [p.metadata.name for p in doubled.delete] == ["c", "d"]


def test_suspended_job_that_goes_on_starts_anew() -> None:
    held = plan_job(job(suspend=True), [], now=NOW).status
    assert [(c.type, c.status, c.reason) for c in held.conditions or ()] == [("Suspended", "True", "JobSuspended")]
    on = plan_job(Job(metadata=job().metadata, spec=job().spec, status=held), [], now=NOW)
    assert [(c.status, c.reason) for c in on.status.conditions or ()] == [("False", "JobResumed")]
    assert on.status.start_time == format_time(NOW)


def test_look_again_at_the_deadline() -> None:
    assert plan_job(job(activeDeadlineSeconds=130), [pod("a")], now=NOW).again == 30


@pytest.mark.parametrize(("text", "indexes"), [("", set()), ("0,2-4,6,7", {0, 2, 3, 4, 6, 7}), ("1,2", {1, 2})])
def test_indexes_as_text(text: str, indexes: set[int]) -> None:
    assert parse_indexes(text, 8) == indexes
    assert format_indexes(indexes) == text


def test_indexes_beyond_the_completions_are_forgotten() -> None:
    assert parse_indexes("0,2-9,12", 5) == {0, 2, 3, 4}
