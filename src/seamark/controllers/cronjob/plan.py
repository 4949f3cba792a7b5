"""CronJob, its Jobs and the time now -> the next status, the Job to make, Jobs to delete, when to look again.

A time that was missed is made up for once: of several the last one, and none that is older than
``startingDeadlineSeconds``. A Job's name holds the minute it was due in, so the same time never makes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from seamark.controllers.job.objects import CronJob, CronJobStatus, Job, JobReference
from seamark.controllers.owners import owner_reference
from seamark.controllers.pods import created_at
from seamark.machinery.clock import format_time, parse_time
from seamark.machinery.cron import CronError, Schedule, find_zone, parse_schedule
from seamark.machinery.gvr import CRONJOBS, JOBS

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
LOOKS = 1000  # at most so many missed times are gone through one by one
MANY = 100


class Note(NamedTuple):
    """An event: what the user is told."""

    reason: str
    message: str
    warning: bool = False


class Plan(NamedTuple):
    status: CronJobStatus
    due: float | None = None
    """The time for which a Job is to be made."""
    replace: tuple[Job, ...] = ()
    surplus: tuple[Job, ...] = ()
    notes: tuple[Note, ...] = ()
    again: float | None = None


def plan_cronjob(cronjob: CronJob, jobs: Sequence[Job], *, now: float) -> Plan:
    """``jobs`` are those that the CronJob controls."""
    status, notes = _settle(cronjob, jobs)
    surplus = tuple(_surplus(cronjob, jobs))
    spec = cronjob.spec
    if cronjob.metadata.deletion_timestamp is not None or spec.suspend:
        return Plan(status, surplus=surplus, notes=notes)
    try:
        schedule, zone = parse_schedule(spec.schedule), find_zone(spec.time_zone or "")
    except CronError as error:
        note = Note("UnparseableSchedule", f'unparseable schedule: "{spec.schedule}" : {error}', True)
        return Plan(status, surplus=surplus, notes=(*notes, note))
    due, missed = last_due(cronjob, schedule, now=now)
    following = schedule.next(now, zone)
    plan = Plan(status, surplus=surplus, notes=notes, again=None if following is None else following - now + 0.1)
    if due is None:
        return plan
    if missed > MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        plan = plan._replace(notes=(*plan.notes, Note("TooManyMissedTimes", text, True)))
    running = [job for job in jobs if not job.status.is_finished and job.metadata.deletion_timestamp is None]
    if any(job.metadata.name == job_name(cronjob, due) for job in jobs):
        return plan._replace(status=_started(cronjob, jobs, status, due))
    if running and spec.concurrency_policy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return plan._replace(notes=(*plan.notes, Note("JobAlreadyActive", text)))
    replace = tuple(running) if spec.concurrency_policy == "Replace" else ()
    return plan._replace(due=due, replace=replace)


def last_due(cronjob: CronJob, schedule: Schedule, *, now: float) -> tuple[float | None, int]:
    """The last time not met yet, and how many there were."""
    zone = find_zone(cronjob.spec.time_zone or "")
    last = cronjob.status.last_schedule_time
    since = parse_time(last) if last else created_at(cronjob)
    deadline = cronjob.spec.starting_deadline_seconds
    if deadline is not None:
        since = max(since, now - deadline)
    first = schedule.next(since, zone)
    if first is None or first > now:
        return None, 0
    second = schedule.next(first, zone)
    if second is None or second > now:
        return first, 1
    missed = int((now - first) / (second - first)) + 1
    if missed > LOOKS:  # jump near the end; a schedule repeats within two of its steps, mostly
        first = schedule.next(now - 2 * (second - first), zone) or first
    found: float | None = first
    due, count = first, 1
    while found is not None and found <= now and count <= 2 * LOOKS:
        due, found, count = found, schedule.next(found, zone), count + 1
    return due, max(missed, 1)


def _settle(cronjob: CronJob, jobs: Sequence[Job]) -> tuple[CronJobStatus, tuple[Note, ...]]:
    """``active`` holds the running Jobs; what ended since is told."""
    by_uid = {job.metadata.uid: job for job in jobs}
    notes, kept = [], []
    for reference in cronjob.status.active or ():
        job = by_uid.get(reference.uid)
        if job is None:
            notes.append(Note("MissingJob", f"Active job went missing: {reference.name}"))
        elif job.status.is_finished:
            how = "Complete" if job.status.has("Complete") else "Failed"
            notes.append(Note("SawCompletedJob", f"Saw completed job: {reference.name}, condition: {how}"))
        else:
            kept.append(reference)
    times = [job.status.completion_time for job in jobs if job.status.completion_time and job.status.has("Complete")]
    times += [cronjob.status.last_successful_time] if cronjob.status.last_successful_time else []
    status = msgspec.structs.replace(
        cronjob.status, active=kept or None, last_successful_time=max(times, key=parse_time, default=None)
    )
    return status, tuple(notes)


def _started(cronjob: CronJob, jobs: Sequence[Job], status: CronJobStatus, due: float) -> CronJobStatus:
    """The Job for ``due`` is there: the status may not know of it, when we stopped between the two writes."""
    made = next(job for job in jobs if job.metadata.name == job_name(cronjob, due))
    active = list(status.active or ())
    if not made.status.is_finished and all(one.uid != made.metadata.uid for one in active):
        active.append(reference_to(made))
    return msgspec.structs.replace(status, active=active or None, last_schedule_time=format_time(due))


def reference_to(job: Job) -> JobReference:
    meta = job.metadata
    return JobReference("batch/v1", "Job", meta.namespace, meta.name, meta.uid, meta.resource_version)


def _surplus(cronjob: CronJob, jobs: Sequence[Job]) -> list[Job]:
    """Finished Jobs beyond what is to be remembered, the oldest first."""
    spec, found = cronjob.spec, list[Job]()
    limits = (("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit))
    for how, limit in limits:
        ended = [job for job in jobs if job.status.has(how) and job.metadata.deletion_timestamp is None]
        ended.sort(key=lambda job: (job.status.start_time or "", job.metadata.name))
        found += ended[: max(0, len(ended) - limit)]
    return found


def job_name(cronjob: CronJob, due: float) -> str:
    return f"{cronjob.metadata.name}-{int(due) // 60}"


def render_job(cronjob: CronJob, due: float) -> dict[str, Any]:
    template = cronjob.spec.job_template
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": job_name(cronjob, due),
            "namespace": cronjob.metadata.namespace,
            "labels": dict(template.metadata.get("labels") or {}),
            "annotations": {**(template.metadata.get("annotations") or {}), SCHEDULED_AT: _local(cronjob, due)},
            "ownerReferences": [owner_reference(cronjob, CRONJOBS)],
        },
        "spec": dict(template.spec),
    }


def _local(cronjob: CronJob, due: float) -> str:
    """RFC 3339 with the offset of the CronJob's zone."""
    if not cronjob.spec.time_zone:
        return format_time(due)
    return datetime.fromtimestamp(due, find_zone(cronjob.spec.time_zone)).isoformat()
