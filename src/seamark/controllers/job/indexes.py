"""The indexes of an Indexed Job: ``0,2-4`` as text, and the pods that have them; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from seamark.controllers.job.objects import Job
from seamark.controllers.workloads import WorkloadPod

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"
IGNORED_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count"
_VARIABLE = "JOB_COMPLETION_INDEX"


def index_of(pod: WorkloadPod) -> int | None:
    text = pod.annotations.get(COMPLETION_INDEX, "")
    return int(text) if text.isdecimal() else None


def parse_indexes(text: str, completions: int) -> frozenset[int]:
    """Those below ``completions``: a Job may have been scaled down since."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found |= set(range(int(first), min(int(last or first), completions - 1) + 1))
    return frozenset(one for one in found if one < completions)


def format_indexes(indexes: Collection[int]) -> str:
    """Three or more in a row, and two as well, are written as a range."""
    spans: list[list[int]] = []
    for one in sorted(indexes):
        if spans and spans[-1][1] == one - 1:
            spans[-1][1] = one
        else:
            spans.append([one, one])
    return ",".join(_span(first, last) for first, last in spans)


def _span(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def missing_indexes(taken: Iterable[int], completions: int, count: int) -> list[int]:
    """The lowest ones that no pod has."""
    held, found = set(taken), list[int]()
    for one in range(completions):
        if len(found) >= count:
            break
        if one not in held:
            found.append(one)
    return found


def with_index(pod: dict[str, Any], job: Job, index: int, failures: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """The pod as index ``index`` has it: annotations, label, host name, a variable in every container. ``failures``:
    how often the index failed before, counted and ignored.
    """
    meta, spec = dict(pod["metadata"]), dict(pod["spec"])
    meta["annotations"] = {**(meta.get("annotations") or {}), COMPLETION_INDEX: str(index)}
    if job.spec.backoff_limit_per_index is not None:
        counted, ignored = failures
        meta["annotations"][FAILURE_COUNT] = str(counted)
        if ignored:
            meta["annotations"][IGNORED_COUNT] = str(ignored)
    meta["labels"] = {**(meta.get("labels") or {}), COMPLETION_INDEX: str(index)}
    meta["generateName"] = f"{job.metadata.name}-{index}-"
    spec["hostname"] = f"{job.metadata.name}-{index}"
    variable = {"name": _VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{COMPLETION_INDEX}']"}}}
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [_with_variable(container, variable) for container in spec[kind]]
    return {**pod, "metadata": meta, "spec": spec}


def _with_variable(container: dict[str, Any], variable: dict[str, Any]) -> dict[str, Any]:
    given = container.get("env") or []
    if any(one.get("name") == _VARIABLE for one in given):
        return container
    return {**container, "env": [*given, variable]}
