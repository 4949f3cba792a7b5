"""What a Job's status may say: the words are those of kube-apiserver 1.36.3."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.resources.batch.job_status import validate_job_status

Obj = dict[str, Any]
EARLY, START, END = "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
INDEXED = {"completionMode": "Indexed", "completions": 5, "parallelism": 2, "backoffLimitPerIndex": 1}


def job(*conditions: str, spec: Obj | None = None, **status: Any) -> Obj:
    shown = [{"type": kind, "status": "True"} for kind in conditions]
    return {"spec": spec or {"completionMode": "NonIndexed"}, "status": {**status, "conditions": shown}}


DONE = job("SuccessCriteriaMet", "Complete", startTime=START, completionTime=END, succeeded=1)


@pytest.mark.parametrize(
    ("old", "new", "causes"),
    [
        pytest.param(job(), DONE, [], id="done"),
        pytest.param(job(), job("FailureTarget", "Failed", startTime=START, failed=1), [], id="failed"),
        pytest.param(
            job(),
            job("Complete", startTime=START, completionTime=EARLY, active=1),
            [
                f'status.completionTime: Invalid value: "{EARLY}": must be equal to or after `startTime`',
                "status.conditions: Invalid value: cannot set Complete=True condition without the "
                "SuccessCriteriaMet=true condition",
                "status.active: Invalid value: 1: active>0 is invalid for finished job",
            ],
            id="done in another way",
        ),
        pytest.param(
            job(),
            job("Failed"),
            [
                "status.conditions: Invalid value: cannot set Failed=True condition without the "
                "FailureTarget=true condition",
                "status.startTime: Required value: startTime is required for finished job",
            ],
            id="failed before it began",
        ),
        pytest.param(
            DONE,
            job(startTime=START, completionTime=END),
            [
                'status.completionTime: Invalid value: "2026-11-24T11:00:00Z": cannot set completionTime when there '
                "is no Complete=True condition",
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ],
            id="an end is an end",
        ),
        pytest.param(
            job(spec=INDEXED),
            job(spec=INDEXED, completedIndexes="0,2-3", failedIndexes="3,9"),
            [
                'status.failedIndexes: Invalid value: "3,9": error parsing failedIndexes: too large index: "9"',
                'status.failedIndexes: Invalid value: "3,9": failedIndexes and completedIndexes overlap at index: 3',
            ],
            id="indexes",
        ),
        pytest.param(
            job(),
            job(completedIndexes="0", ready=2, active=1, uncountedTerminatedPods={"succeeded": ["a"], "failed": ["a"]}),
            [
                'status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"',
                'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed '
                "completion mode",
                "status.ready: Invalid value: 2: cannot set more ready pods than active",
            ],
            id="pods",
        ),
        pytest.param(
            job(ready=2, active=1, completedIndexes="0"),
            job(ready=2, active=1, completedIndexes="0", failed=1),
            [],
            id="what was wrong already is not asked again",
        ),
    ],
)
def test_status(old: Obj, new: Obj, causes: list[str]) -> None:
    assert [f"{cause.field}: {cause.message}" for cause in validate_job_status(new, old)] == causes
