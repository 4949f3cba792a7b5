"""CronJobs: what is due, what is skipped, what is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.cronjob.plan import SCHEDULED_AT, job_name, plan_cronjob, render_job
from seamark.controllers.job.objects import CronJob, Job
from seamark.machinery.clock import format_time
from seamark.testing.builders import as_kind, make_meta

BORN = 1_700_000_040.0  # a whole minute
MINUTE = 60.0


def cronjob(status: dict[str, Any] | None = None, **spec: Any) -> CronJob:
    meta = make_meta("tick", creationTimestamp=format_time(BORN))
    whole = {"schedule": "* * * * *", "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}, **spec}
    return as_kind(CronJob, {"metadata": meta, "spec": whole, "status": status or {}})


def job(name: str, how: str = "", *, at: float = BORN) -> Job:
    status: dict[str, Any] = {"startTime": format_time(at)}
    if how:
        status["conditions"] = [{"type": how, "status": "True"}]
    if how == "Complete":
        status["completionTime"] = format_time(at + 5)
    return as_kind(Job, {"metadata": make_meta(name), "spec": {}, "status": status})


@pytest.mark.parametrize(
    ("given", "jobs", "now", "due"),
    [
        pytest.param(cronjob(), [], BORN + 30, None, id="not yet"),
        pytest.param(cronjob(), [], BORN + 61, BORN + MINUTE, id="due"),
        pytest.param(cronjob(), [], BORN + 200, BORN + 3 * MINUTE, id="of several the last"),
        pytest.param(cronjob(startingDeadlineSeconds=10), [], BORN + 90, None, id="too late"),
        pytest.param(cronjob(suspend=True), [], BORN + 61, None, id="suspended"),
        pytest.param(cronjob(concurrencyPolicy="Forbid"), [job("tick-1")], BORN + 61, None, id="another runs"),
        pytest.param(
            cronjob(concurrencyPolicy="Forbid"), [job("tick-1", "Failed")], BORN + 61, BORN + MINUTE, id="none runs"
        ),
        pytest.param(cronjob(schedule="bad"), [], BORN + 61, None, id="no schedule"),
        pytest.param(cronjob({"lastScheduleTime": format_time(BORN + 60)}), [], BORN + 90, None, id="done already"),
        pytest.param(cronjob(), [], BORN + 60 * 5000, BORN + 60 * 5000, id="after a long night"),
    ],
)
def test_due(given: CronJob, jobs: list[Job], now: float, due: float | None) -> None:
    assert plan_cronjob(given, jobs, now=now).due == due


def test_replace_deletes_what_runs() -> None:
    plan = plan_cronjob(cronjob(concurrencyPolicy="Replace"), [job("tick-1")], now=BORN + 61)
    assert ([one.metadata.name for one in plan.replace], plan.due) == (["tick-1"], BORN + 60)


def test_a_job_made_before_a_crash_is_found_by_its_name() -> None:
    given = cronjob()
    made = job(job_name(given, BORN + 60))
    plan = plan_cronjob(given, [made], now=BORN + 61)
    assert plan.due is None
    assert plan.status.last_schedule_time == format_time(BORN + 60)
    assert [one.uid for one in plan.status.active or ()] == [made.metadata.uid]


def test_history_keeps_the_youngest() -> None:
    jobs = [job(f"tick-{i}", "Complete", at=BORN + i) for i in range(5)]
    jobs += [job(f"bad-{i}", "Failed", at=BORN + i) for i in range(2)]
    plan = plan_cronjob(
        cronjob(successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1, suspend=True), jobs, now=BORN + 1
    )
    assert [one.metadata.name for one in plan.surplus] == ["tick-0", "tick-1", "bad-0"]
    assert plan.status.last_successful_time == format_time(BORN + 9)


def test_ended_jobs_leave_the_active_ones() -> None:
    active = [{"name": "tick-1", "uid": "uid-tick-1"}, {"name": "lost", "uid": "uid-lost"}]
    plan = plan_cronjob(cronjob({"active": active}, suspend=True), [job("tick-1", "Complete")], now=BORN + 1)
    assert plan.status.active is None
    assert [note.reason for note in plan.notes] == ["SawCompletedJob", "MissingJob"]


def test_looks_again_when_the_next_is_due() -> None:
    assert plan_cronjob(cronjob(), [], now=BORN + 30).again == pytest.approx(30.1)


def test_the_job_tells_when_it_was_due() -> None:
    made = render_job(cronjob(timeZone="Europe/Zurich"), BORN)
    assert made["metadata"]["name"] == f"tick-{int(BORN) // 60}"
    assert made["metadata"]["annotations"] == {SCHEDULED_AT: "2023-11-14T23:14:00+01:00"}
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-tick"
