"""What a Job says about its pods' failures and its own success: pod failure policy, limits per index, success policy.

A pod carries how often its index failed before it, in annotations, so nothing has to be remembered but the last failed
pod of an index: that one keeps its finalizer until its successor is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from seamark.controllers.job.indexes import FAILURE_COUNT, IGNORED_COUNT, index_of, parse_indexes
from seamark.controllers.job.objects import ExitCodes, FailureRule, Job
from seamark.controllers.workloads import ContainerStatus, WorkloadPod


class Judgement(NamedTuple):
    """``action`` is a rule's, ``Count`` where none matches; ``message`` says why a Job fails."""

    action: str = "Count"
    message: str = ""


def judge_failure(job: Job, pod: WorkloadPod) -> Judgement:
    policy, meta = job.spec.pod_failure_policy, pod.metadata
    for i, rule in enumerate(policy.rules or () if policy is not None else ()):
        why = _match_rule(rule, pod)
        if why:
            name = f"pod {meta.namespace}/{meta.name}"
            whole = f"{why.format(pod=name)} matching {rule.action} rule at index {i}"
            return Judgement(rule.action, whole[0].upper() + whole[1:])
    return Judgement()


def _match_rule(rule: FailureRule, pod: WorkloadPod) -> str:
    if rule.on_exit_codes is not None:
        status = pod.status
        for container in (*(status.container_statuses or ()), *(status.init_container_statuses or ())):
            code = _matching_code(rule.on_exit_codes, container)
            if code:
                return f"container {container.name} for {{pod}} failed with exit code {code}"
        return ""
    for condition in pod.status.conditions or ():
        for pattern in rule.on_pod_conditions or ():
            if (condition.type, condition.status) == (pattern.type, pattern.status):
                return f"{{pod}} has condition {condition.type}"
    return ""


def _matching_code(codes: ExitCodes, container: ContainerStatus) -> int:
    """The code the container ended with, where the rule means it; 0 = it does not."""
    end = container.state.terminated
    if end is None or codes.container_name not in (None, container.name) or end.exit_code == 0:
        return 0
    listed = end.exit_code in (codes.values or ())
    return end.exit_code if listed is (codes.operator == "In") else 0


def why_job_fails(job: Job, failed: Iterable[WorkloadPod]) -> str:
    if job.spec.pod_failure_policy is None:
        return ""
    judged = (judge_failure(job, pod) for pod in failed)
    return next((one.message for one in judged if one.action == "FailJob"), "")


def failures_of(pod: WorkloadPod) -> tuple[int, int]:
    """How often the pod's index failed before it: counted, ignored."""
    given = (pod.annotations.get(name, "0") for name in (FAILURE_COUNT, IGNORED_COUNT))
    counted, ignored = (int(text) if text.isdecimal() else 0 for text in given)
    return counted, ignored


def failures_after(job: Job, pod: WorkloadPod) -> tuple[int, int]:
    """The same for the pod that comes in its place."""
    counted, ignored = failures_of(pod)
    is_ignored = judge_failure(job, pod).action == "Ignore"
    return (counted, ignored + 1) if is_ignored else (counted + 1, ignored)


def failed_indexes(job: Job, failed: Iterable[WorkloadPod]) -> frozenset[int]:
    """Those known, and those of pods that failed once too often."""
    limit, completions = job.spec.backoff_limit_per_index, job.spec.completions or 0
    if limit is None:
        return frozenset()
    found = set(parse_indexes(job.status.failed_indexes or "", completions))
    for pod in failed:
        index, judged = index_of(pod), judge_failure(job, pod)
        if index is None or index >= completions:
            continue
        counted = judged.action != "Ignore" and failures_of(pod)[0] >= limit
        if judged.action == "FailIndex" or counted:
            found.add(index)
    return frozenset(found)


def select_latest(job: Job, failed: Sequence[WorkloadPod], settled: Collection[int]) -> dict[int, WorkloadPod]:
    """The last failed pod of each index that needs a new one; ``settled`` are indexes done, given up or running."""
    found: dict[int, WorkloadPod] = {}
    if job.spec.backoff_limit_per_index is None:
        return found
    for pod in sorted(failed, key=lambda one: sum(failures_of(one))):
        index = index_of(pod)
        if index is not None and index < (job.spec.completions or 0) and index not in settled:
            found[index] = pod
    return found


def match_success(job: Job, indexes: frozenset[int]) -> str:
    """The message of the first rule of the success policy that these succeeded indexes satisfy."""
    policy, completions = job.spec.success_policy, job.spec.completions or 0
    for i, rule in enumerate(policy.rules or () if policy is not None and indexes else ()):
        if rule.succeeded_indexes is not None:
            wanted = parse_indexes(rule.succeeded_indexes, completions)
            there = len(wanted & indexes)
            enough = rule.succeeded_count is not None and there >= rule.succeeded_count
            met = bool(wanted) and (there == len(wanted) or enough)
        else:
            met = rule.succeeded_count is not None and len(indexes) >= rule.succeeded_count
        if met:
            return f"Matched rules at index {i}"
    return ""
