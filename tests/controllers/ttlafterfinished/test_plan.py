"""Finished Jobs go when their time is up."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.job.objects import Job
from seamark.controllers.ttlafterfinished.plan import seconds_left
from seamark.machinery.clock import format_time
from seamark.testing.builders import START, as_kind, make_meta

DONE = [{"type": "Complete", "status": "True", "lastTransitionTime": format_time(START)}]


@pytest.mark.parametrize(
    ("spec", "conditions", "left"),
    [
        pytest.param({}, DONE, None, id="no ttl"),
        pytest.param({"ttlSecondsAfterFinished": 30}, [], None, id="not finished"),
        pytest.param({"ttlSecondsAfterFinished": 30}, DONE, 20.0, id="not yet"),
        pytest.param({"ttlSecondsAfterFinished": 0}, DONE, 0.0, id="at once"),
    ],
)
def test_seconds_left(spec: dict[str, Any], conditions: list[Any], left: float | None) -> None:
    job = as_kind(Job, {"metadata": make_meta("work"), "spec": spec, "status": {"conditions": conditions}})
    assert seconds_left(job, now=START + 10) == left
