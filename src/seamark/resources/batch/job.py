"""batch/v1 Job: pods that run to their end.

Unless told otherwise a Job selects its pods by its own uid: ``prepare_create`` writes that into selector and template.
"""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.machinery.clock import parse_time
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, entries, keep, number, section, text
from seamark.resources.apps.workload import workload_warnings
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
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

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


def validate_status(new: Obj, old: Obj) -> Causes:
    """Counters do not go back, and what is finished stays finished."""
    causes: Causes = []
    status, before = section(new, "status"), section(old, "status")
    for name, value in status.items():
        if isinstance(value, int) and not isinstance(value, bool):
            causes += field.not_negative(f"status.{name}", value)
    now = {kind for kind in (*_FINISHED, "FailureTarget", "SuccessCriteriaMet") if has_condition(new, kind)}
    for kind in (*_FINISHED, "FailureTarget", "SuccessCriteriaMet"):
        if has_condition(old, kind) and kind not in now:
            prefix = "" if kind == "SuccessCriteriaMet" else "terminal "
            causes.append(_conditions(f"cannot disable the {prefix}{kind}=True condition"))
    if {"Complete", "Failed"} <= now:
        causes.append(_conditions("cannot set Complete=True and Failed=true conditions"))
    if (status.get("failed") or 0) < (before.get("failed") or 0):
        causes.append(field.invalid("status.failed", status.get("failed") or 0, "cannot decrease the failed counter"))
    scaled = section(new, "spec")
    fixed = scaled.get("completionMode") != "Indexed" or scaled.get("completions") != scaled.get("parallelism")
    if fixed and (status.get("succeeded") or 0) < (before.get("succeeded") or 0):
        detail = "cannot decrease the succeeded counter"
        causes.append(field.invalid("status.succeeded", status.get("succeeded") or 0, detail))
    return causes


def _conditions(detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {detail}", "status.conditions")


def has_condition(job: Obj, kind: str) -> bool:
    found: Obj = next((c for c in entries(job, "status", "conditions") if c.get("type") == kind), {})
    return bool(found.get("status") == "True")


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
    validate_status=validate_status,
    warnings=workload_warnings,
)
