"""A finished Job -> in how many seconds it goes; 0 = now, None = it stays."""

from __future__ import annotations

from seamark.controllers.job.objects import Job
from seamark.machinery.clock import parse_time


def seconds_left(job: Job, *, now: float) -> float | None:
    ttl = job.spec.ttl_seconds_after_finished
    if ttl is None or job.metadata.deletion_timestamp is not None:
        return None
    ended = next(
        (c for c in job.status.conditions or () if c.type in ("Complete", "Failed") and c.status == "True"), None
    )
    if ended is None or ended.last_transition_time is None:
        return None
    return max(0.0, parse_time(ended.last_transition_time) + ttl - now)
