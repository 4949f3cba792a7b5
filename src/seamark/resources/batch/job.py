"""batch/v1 Job: pods that run to their end.

Unless told otherwise a Job selects its pods by its own uid: ``prepare_create`` writes that into selector and template.
"""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.machinery.clock import parse_time
from seamark.resources.access import default, default_pointer, ensure, entries, keep, number, section, text
from seamark.resources.apps.workload import workload_warnings
from seamark.resources.batch.job_status import has_condition, validate_job_status
from seamark.resources.batch.job_validation import (
    CONTROLLER_UID,
    JOB_NAME,
    LEGACY_CONTROLLER_UID,
    LEGACY_JOB_NAME,
    NON_INDEXED,
    validate_job,
    validate_job_update,
)
from seamark.resources.columns import CONTAINERS, IMAGES, SELECTOR, human_duration
from seamark.resources.core.podspec_defaults import default_pod_spec
from seamark.resources.registry import AGE, NAME, Column, Obj, Resource

BACKOFF_LIMIT = 6
UNLIMITED = 2**31 - 1
_FINISHED = ("Complete", "Failed")


def default_job_spec(spec: Obj) -> None:
    """Parallelism alone means a work queue: the Job is done when one pod says so, and completions stay absent."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    default_pointer(spec, "parallelism", 1)
    default_pointer(spec, "backoffLimit", BACKOFF_LIMIT if spec.get("backoffLimitPerIndex") is None else UNLIMITED)
    default_pointer(spec, "completionMode", NON_INDEXED)
    default_pointer(spec, "suspend", False)
    default_pointer(
        spec, "podReplacementPolicy", "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"
    )
    for rule in entries(spec, "podFailurePolicy", "rules"):
        for pattern in entries(rule, "onPodConditions"):
            default(pattern, "status", "True")
    default_pointer(spec, "manualSelector", False)


def default_template(spec: Obj) -> None:
    template = ensure(spec, "template")
    ensure(template, "metadata")
    default_pod_spec(ensure(template, "spec"))


def default_job(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    default_template(spec)
    default_job_spec(spec)
    meta, labels = ensure(obj, "metadata"), section(spec, "template", "metadata", "labels")
    if labels and not section(meta, "labels"):
        meta["labels"] = dict(labels)
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {}
    spec, meta = section(obj, "spec"), section(obj, "metadata")
    if spec.get("manualSelector"):
        return
    labels = ensure(ensure(spec["template"], "metadata"), "labels")
    for name in (LEGACY_JOB_NAME, JOB_NAME):
        default(labels, name, text(meta, "name"))
    for name in (LEGACY_CONTROLLER_UID, CONTROLLER_UID):
        default(labels, name, text(meta, "uid"))
    default(ensure(ensure(spec, "selector"), "matchLabels"), CONTROLLER_UID, text(meta, "uid"))


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def status_cell(job: Obj, now: float) -> str:
    for kind in _FINISHED:
        if has_condition(job, kind):
            return kind
    if section(job, "metadata").get("deletionTimestamp"):
        return "Terminating"
    shown = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((kind for kind in shown if has_condition(job, kind)), "Running")


def completions_cell(job: Obj, now: float) -> str:
    done, spec = number(job, "status", "succeeded"), section(job, "spec")
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = number(spec, "parallelism")
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def duration_cell(job: Obj, now: float) -> str:
    start, end = text(job, "status", "startTime"), text(job, "status", "completionTime")
    if not start:
        return ""
    return human_duration((parse_time(end) if end else now) - parse_time(start))


JOB = Resource(
    gvr=gvr.JOBS,
    singular="job",
    categories=("all",),
    columns=(
        NAME,
        Column("Status", cell=status_cell),
        Column("Completions", cell=completions_cell),
        Column("Duration", cell=duration_cell),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    subresources=("status",),
    has_generation=True,
    orphans_by_default=True,
    field_selectors={"status.successful": lambda obj: str(number(obj, "status", "succeeded"))},
    default=default_job,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate_job,
    validate_update=validate_job_update,
    validate_status=validate_job_status,
    warnings=workload_warnings,
)
