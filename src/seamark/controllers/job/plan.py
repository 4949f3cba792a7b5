"""Job and its pods -> the next status, pods to make and to delete, pods whose finalizer may go.

Rules:

* A pod counts once, though it may be gone when somebody looks: it keeps the finalizer ``job-tracking`` until its uid
  stands in ``uncountedTerminatedPods``; when the finalizer is gone, the uid moves into the counter. Each of these is a
  write of its own, so a crash between two of them neither loses a pod nor counts it twice.
* How a Job ends is decided first (``SuccessCriteriaMet``, ``FailureTarget``); what still runs is deleted; ``Complete``
  or ``Failed`` come when every pod is counted.
* A pod that is told to go counts as failed at once; ``podReplacementPolicy: Failed`` waits until it has ended.
* After failures new pods wait: 10 s, doubled by each failure since the last success, at most 10 minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from seamark.controllers.job.indexes import format_indexes, index_of, missing_indexes, parse_indexes
from seamark.controllers.job.objects import Job, JobCondition, JobStatus, Uncounted
from seamark.controllers.job.policies import (
    failed_indexes,
    failures_after,
    judge_failure,
    match_success,
    select_latest,
    why_job_fails,
)
from seamark.controllers.pods import created_at
from seamark.controllers.replicaset.plan import select_to_delete
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time, parse_time

TRACKING = "batch.kubernetes.io/job-tracking"
BURST = 500
FIRST_BACKOFF, MAX_BACKOFF = 10.0, 600.0
MANAGER = "kubernetes.io/job-controller"


class Ending(NamedTuple):
    type: str
    reason: str
    message: str


COMPLETED = Ending("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
DEADLINE = Ending("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
BACKOFF = Ending("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
FAILED_INDEXES = Ending("FailureTarget", "FailedIndexes", "Job has failed indexes")
TOO_MANY_INDEXES = Ending(
    "FailureTarget",
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)


class Plan(NamedTuple):
    status: JobStatus
    create: tuple[int | None, ...]
    """One per pod: its index, None in a Job without."""
    delete: tuple[WorkloadPod, ...]
    untrack: tuple[WorkloadPod, ...]
    """Written down in ``status``: after that their finalizer may go."""
    again: float | None
    failures: Mapping[int, tuple[int, int]] = MappingProxyType({})
    """By index, how often it failed before (counted, ignored): for the pods that are made."""


class _Counts(NamedTuple):
    """``given_up`` are indexes that failed too often, ``latest`` the last failed pods of those that need a new one."""

    status: JobStatus
    succeeded: int
    failed: int
    indexes: frozenset[int]
    untrack: tuple[WorkloadPod, ...]
    given_up: frozenset[int] = frozenset()
    latest: Mapping[int, WorkloadPod] = MappingProxyType({})


def plan_job(job: Job, pods: Sequence[WorkloadPod], *, now: float) -> Plan:
    """``pods`` are all that the Job controls."""
    counts = _count(job, pods)
    active = [pod for pod in pods if _is_active(pod)]
    if job.status.is_finished:
        return Plan(counts.status, (), (), counts.untrack, None)
    status = _begin(job, counts.status, now)
    failed = [pod for pod in pods if _outcome(job, pod) == "failed"]
    ending = _ending(job, counts, active, failed, now)
    if ending is not None:
        status = _with_condition(status, ending.type, ending.reason, ending.message, now=now)
    create, delete, again = _plan_pods(job, pods, active, counts=counts, now=now, ends=ending is not None)
    gone = {pod.metadata.uid for pod in delete}
    left = [pod for pod in active if pod.metadata.uid not in gone]
    status = msgspec.structs.replace(
        status,
        active=len(left),
        ready=sum(pod.is_ready for pod in left),
        terminating=sum(pod.is_terminating and not pod.is_finished for pod in pods) + len(gone),
    )
    if ending is not None and not left and not status.terminating and _all_counted(status) and not counts.latest:
        status = _finish(status, ending, now)
    wait = _earliest(again, _until_deadline(job, status, now))
    failures = {index: failures_after(job, pod) for index, pod in counts.latest.items()}
    return Plan(status, create, delete, counts.untrack, wait, failures)


def _count(job: Job, pods: Sequence[WorkloadPod]) -> _Counts:
    """Ended pods into the uncounted ones, and uncounted ones that lost their finalizer into the counters."""
    spec, status = job.spec, job.status
    known = status.uncounted_terminated_pods or Uncounted()
    tracked = {pod.metadata.uid for pod in pods if TRACKING in (pod.metadata.finalizers or ())}
    ended = {kind: [p for p in pods if _is_counted(job, p, kind, tracked)] for kind in ("succeeded", "failed")}
    done = {kind: set(getattr(known, kind) or ()) for kind in ended}
    indexes = _succeeded_indexes(job, ended["succeeded"])
    given_up = failed_indexes(job, ended["failed"]) - indexes
    latest = _select_kept(job, pods, ended["failed"], indexes | given_up)
    kept = {pod.metadata.uid for pod in latest.values()}
    fresh: dict[str, list[str]] = {"succeeded": [], "failed": []}
    for kind, found in ended.items():
        for uid in (
            pod.metadata.uid for pod in found if _counts_for_limit(job, pod, kind) and pod.metadata.uid not in kept
        ):
            if uid not in done["succeeded"] | done["failed"] and not (kind == "succeeded" and spec.is_indexed):
                fresh[kind].append(uid)
    waiting = {kind: [uid for uid in getattr(known, kind) or () if uid in tracked] + fresh[kind] for kind in done}
    flushed = {kind: len(done[kind] - tracked) for kind in done}
    succeeded = len(indexes) if spec.is_indexed else status.succeeded + flushed["succeeded"]
    failed = status.failed + flushed["failed"]
    counted = msgspec.structs.replace(
        status,
        succeeded=succeeded,
        failed=failed,
        completed_indexes=format_indexes(indexes),
        failed_indexes=None if spec.backoff_limit_per_index is None else format_indexes(given_up),
        uncounted_terminated_pods=Uncounted(waiting["succeeded"] or None, waiting["failed"] or None),
    )
    total = succeeded + (0 if spec.is_indexed else len(waiting["succeeded"]))
    untrack = tuple(pod for found in ended.values() for pod in found if pod.metadata.uid not in kept)
    return _Counts(counted, total, failed + len(waiting["failed"]), indexes, untrack, given_up, latest)


def _is_counted(job: Job, pod: WorkloadPod, kind: str, tracked: set[str]) -> bool:
    return pod.metadata.uid in tracked and _outcome(job, pod) == kind


def _counts_for_limit(job: Job, pod: WorkloadPod, kind: str) -> bool:
    return kind == "succeeded" or judge_failure(job, pod).action != "Ignore"


def _succeeded_indexes(job: Job, succeeded: Sequence[WorkloadPod]) -> frozenset[int]:
    if not job.spec.is_indexed:
        return frozenset()
    completions = job.spec.completions or 0
    fresh = {index for pod in succeeded if (index := index_of(pod)) is not None and index < completions}
    return parse_indexes(job.status.completed_indexes, completions) | fresh


def _select_kept(
    job: Job, pods: Sequence[WorkloadPod], failed: Sequence[WorkloadPod], settled: frozenset[int]
) -> dict[int, WorkloadPod]:
    """What the last failed pod of an index knows is still needed, until the Job ends."""
    if job.status.has("SuccessCriteriaMet", "FailureTarget", "Complete", "Failed"):
        return {}
    running = {index for pod in pods if _is_active(pod) and (index := index_of(pod)) is not None}
    return select_latest(job, failed, settled | running)


def _outcome(job: Job, pod: WorkloadPod) -> str:
    if pod.status.phase == "Succeeded":
        return "succeeded"
    if pod.status.phase == "Failed":
        return "failed"
    waits = job.spec.pod_replacement_policy == "Failed" and pod.spec.node_name
    return "failed" if pod.is_terminating and not waits else ""


def _is_active(pod: WorkloadPod) -> bool:
    return not pod.is_finished and not pod.is_terminating


def _begin(job: Job, status: JobStatus, now: float) -> JobStatus:
    """When it started, and whether it is suspended: a Job that goes on starts anew."""
    was = any(c.type == "Suspended" for c in status.conditions or ())
    if job.spec.suspend:
        return status if status.has("Suspended") else _suspended(status, "True", "JobSuspended", "Job suspended", now)
    if was and status.has("Suspended"):
        resumed = _suspended(status, "False", "JobResumed", "Job resumed", now)
        return msgspec.structs.replace(resumed, start_time=format_time(now))
    return status if status.start_time else msgspec.structs.replace(status, start_time=format_time(now))


def _suspended(status: JobStatus, value: str, reason: str, message: str, now: float) -> JobStatus:
    return _with_condition(status, "Suspended", reason, message, now=now, value=value)


def _ending(
    job: Job, counts: _Counts, active: Sequence[WorkloadPod], failed: Sequence[WorkloadPod], now: float
) -> Ending | None:
    for known in job.status.conditions or ():
        if known.type in ("SuccessCriteriaMet", "FailureTarget") and known.status == "True":
            return Ending(known.type, known.reason, known.message)
    spec = job.spec
    why = why_job_fails(job, failed)
    if why:
        return Ending("FailureTarget", "PodFailurePolicy", why)
    if counts.failed > spec.backoff_limit or _restarted_too_often(job, active):
        return BACKOFF
    wait = _until_deadline(job, job.status, now)
    if wait is not None and wait <= 0:
        return DEADLINE
    return _ending_by_index(job, counts) or _completed(job, counts, active)


def _ending_by_index(job: Job, counts: _Counts) -> Ending | None:
    spec, given_up = job.spec, len(counts.given_up)
    if spec.max_failed_indexes is not None and given_up > spec.max_failed_indexes:
        return TOO_MANY_INDEXES
    if given_up and given_up + len(counts.indexes) >= (spec.completions or 0):
        return FAILED_INDEXES
    met = match_success(job, counts.indexes)
    return Ending("SuccessCriteriaMet", "SuccessPolicy", met) if met else None


def _completed(job: Job, counts: _Counts, active: Sequence[WorkloadPod]) -> Ending | None:
    spec = job.spec
    if spec.completions is None:
        return COMPLETED if counts.succeeded and not active else None
    if spec.completions == 0 and spec.suspend:
        return None
    return COMPLETED if counts.succeeded >= spec.completions else None


def _restarted_too_often(job: Job, active: Sequence[WorkloadPod]) -> bool:
    """Containers that are started again in their pod fail as well."""
    if (job.spec.template.get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(c.restart_count for pod in active for c in pod.status.container_statuses or ())
    return restarts >= max(job.spec.backoff_limit, 1)


def _until_deadline(job: Job, status: JobStatus, now: float) -> float | None:
    seconds = job.spec.active_deadline_seconds
    if seconds is None or status.start_time is None or job.spec.suspend or status.is_finished:
        return None
    return parse_time(status.start_time) + seconds - now


def _plan_pods(
    job: Job, pods: Sequence[WorkloadPod], active: list[WorkloadPod], *, counts: _Counts, now: float, ends: bool
) -> tuple[tuple[int | None, ...], tuple[WorkloadPod, ...], float | None]:
    """What to make, what to delete, and in how many seconds a failure is paid for."""
    spec = job.spec
    if job.metadata.deletion_timestamp is not None:
        return (), (), None
    if ends or spec.suspend:
        return (), tuple(active[:BURST]), None
    surplus = _useless(job, active, counts) if spec.is_indexed else []
    useful = [pod for pod in active if pod not in surplus]
    wanted = _wanted(job, counts.succeeded + len(counts.given_up), len(useful))
    if len(useful) > wanted:
        surplus += select_to_delete(useful)[: len(useful) - wanted]
    if surplus:
        return (), tuple(surplus[:BURST]), None
    going = [pod for pod in pods if pod.is_terminating and not pod.is_finished]
    missing = wanted - len(useful) - (len(going) if spec.pod_replacement_policy == "Failed" else 0)
    if missing <= 0:
        return (), (), None
    per_index = spec.backoff_limit_per_index is not None
    wait = 0.0 if per_index else _backoff(job, pods, now)
    if wait > 0:
        return (), (), wait
    count = min(missing, BURST)
    if not spec.is_indexed:
        return (None,) * count, (), None
    held = {index for pod in useful if (index := index_of(pod)) is not None} | counts.given_up
    if spec.pod_replacement_policy == "Failed":
        held |= {index for pod in going if (index := index_of(pod)) is not None}
    waits = {index: _wait_of_index(job, pod, now) for index, pod in counts.latest.items()}
    held |= {index for index, left in waits.items() if left > 0}
    found = tuple(missing_indexes([*counts.indexes, *held], spec.completions or 0, count))
    return found, (), min((left for left in waits.values() if left > 0), default=None)


def _wait_of_index(job: Job, pod: WorkloadPod, now: float) -> float:
    """An index that failed waits by itself, the longer the oftener."""
    counted, _ = failures_after(job, pod)
    return _ended_at(pod) + min(FIRST_BACKOFF * 2.0 ** min(max(counted - 1, 0), 16), MAX_BACKOFF) - now


def _wanted(job: Job, succeeded: int, active: int) -> int:
    if job.spec.completions is None:  # a work queue: the first success says that there is no more work
        return active if succeeded else job.spec.parallelism
    return max(0, min(job.spec.parallelism, job.spec.completions - succeeded))


def _useless(job: Job, active: Sequence[WorkloadPod], counts: _Counts) -> list[WorkloadPod]:
    """Pods whose index is done, out of range or held by another one."""
    seen, found = set(counts.indexes), []
    for pod in sorted(active, key=created_at):
        index = index_of(pod)
        if index is None or index >= (job.spec.completions or 0) or index in seen:
            found.append(pod)
        else:
            seen.add(index)
    return found


def _backoff(job: Job, pods: Sequence[WorkloadPod], now: float) -> float:
    finished = [pod for pod in pods if pod.is_finished and _counts_for_limit(job, pod, _outcome(job, pod))]
    ended = sorted((_ended_at(pod), pod.status.phase) for pod in finished)
    failures = 0
    for _, phase in reversed(ended):
        if phase == "Succeeded":
            break
        failures += 1
    if not failures:
        return 0.0
    return ended[-1][0] + min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 16), MAX_BACKOFF) - now


def _ended_at(pod: WorkloadPod) -> float:
    times = [t for c in pod.status.container_statuses or () if (t := c.finished_at)]
    return max((parse_time(t) for t in times), default=created_at(pod))


def _all_counted(status: JobStatus) -> bool:
    waiting = status.uncounted_terminated_pods or Uncounted()
    return not waiting.succeeded and not waiting.failed


def _finish(status: JobStatus, ending: Ending, now: float) -> JobStatus:
    if ending.type == "FailureTarget":
        return _with_condition(status, "Failed", ending.reason, ending.message, now=now)
    done = _with_condition(status, "Complete", ending.reason, ending.message, now=now)
    return msgspec.structs.replace(done, completion_time=format_time(now))


def _with_condition(
    status: JobStatus, type: str, reason: str, message: str, *, now: float, value: str = "True"
) -> JobStatus:
    known = next((c for c in status.conditions or () if c.type == type), None)
    if known is not None and (known.status, known.reason) == (value, reason):
        return status
    at = format_time(now)
    new = JobCondition(type, value, reason, message, last_probe_time=at, last_transition_time=at)
    kept = [c for c in status.conditions or () if c.type != type]
    return msgspec.structs.replace(status, conditions=[*kept, new])


def _earliest(*waits: float | None) -> float | None:
    found = [max(wait, 0.0) for wait in waits if wait is not None]
    return min(found, default=None)
