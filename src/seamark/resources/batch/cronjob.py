"""batch/v1 CronJob: Jobs at times of the clock."""

from __future__ import annotations

import re
from typing import Any

from seamark.machinery import gvr
from seamark.machinery.cron import CronError, find_zone, parse_schedule
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, entries, keep, section, text
from seamark.resources.batch.job import default_template
from seamark.resources.batch.job_validation import NON_INDEXED, validate_job_spec
from seamark.resources.columns import NONE, images_of, names_of, since
from seamark.resources.core.podspec_warnings import spec_warnings
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

MAX_NAME = 52  # a Job's name is eleven characters longer
POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


def default_cronjob(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    default(spec, "concurrencyPolicy", "Allow")
    default_pointer(spec, "suspend", False)
    default_pointer(spec, "successfulJobsHistoryLimit", 3)
    default_pointer(spec, "failedJobsHistoryLimit", 1)
    job = ensure(spec, "jobTemplate")
    ensure(job, "metadata")
    default_template(ensure(job, "spec"))
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    schedule, causes = text(spec, "schedule"), list[Any]()
    if not schedule:
        causes.append(field.required("spec.schedule"))
    else:
        causes += _validate_schedule(schedule)
    causes += field.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if spec.get("timeZone") is not None:
        causes += _validate_zone(spec["timeZone"])
    policy = spec.get("concurrencyPolicy")
    if policy not in POLICIES:
        causes.append(field.not_supported("spec.concurrencyPolicy", policy, POLICIES))
    causes += _validate_template(section(spec, "jobTemplate", "spec"))
    for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        causes += field.not_negative(f"spec.{name}", spec.get(name))
    name = text(obj, "metadata", "name")
    if len(name) > MAX_NAME:
        causes.append(field.invalid("metadata.name", name, f"must be no more than {MAX_NAME} characters"))
    return causes


def _validate_schedule(schedule: str) -> Causes:
    causes: Causes = []
    try:
        parse_schedule(schedule)
    except CronError as error:
        causes.append(field.invalid("spec.schedule", schedule, str(error)))
    if "TZ" in schedule:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        causes.append(field.invalid("spec.schedule", schedule, detail))
    return causes


def _validate_zone(zone: str) -> Causes:
    path, unknown = "spec.timeZone", f"unknown time zone {zone}"
    if not zone:
        return [field.invalid(path, zone, "timeZone must be nil or non-empty string")]
    parts = zone.split("/")
    if any(part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in parts):
        return [field.invalid(path, zone, unknown)]
    if zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [field.invalid(path, zone, detail)]
    try:
        find_zone(zone)
    except CronError as error:
        return [field.invalid(path, zone, str(error))]
    return []


def _validate_template(spec: Obj) -> Causes:
    """The Job's own defaults come when it is made; until then an absent mode is no error."""
    causes = validate_job_spec("spec.jobTemplate.spec", {"completionMode": NON_INDEXED, **spec})
    if spec.get("selector") is not None:
        path = "spec.jobTemplate.spec.selector"
        causes.append(field.invalid(path, spec["selector"], "`selector` will be auto-generated"))
    if spec.get("manualSelector"):
        causes.append(field.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    return causes


def warnings(obj: Obj) -> list[str]:
    return spec_warnings(
        "spec.jobTemplate.spec.template.spec", section(obj, "spec", "jobTemplate", "spec", "template", "spec")
    )


def _containers(obj: Obj) -> list[Obj]:
    return entries(obj, "spec", "jobTemplate", "spec", "template", "spec", "containers")


def _last_cell(obj: Obj, now: float) -> str:
    last = text(obj, "status", "lastScheduleTime")
    return since(last, now) if last else NONE


CRONJOB = Resource(
    gvr=gvr.CRONJOBS,
    singular="cronjob",
    short_names=("cj",),
    categories=("all",),
    columns=(
        NAME,
        Column("Schedule", cell=lambda obj, now: text(obj, "spec", "schedule")),
        Column("Timezone", cell=lambda obj, now: text(obj, "spec", "timeZone") or NONE),
        Column("Suspend", type="boolean", cell=lambda obj, now: str(bool(section(obj, "spec").get("suspend")))),
        Column("Active", type="integer", cell=lambda obj, now: len(entries(obj, "status", "active"))),
        Column("Last Schedule", cell=_last_cell),
        AGE,
        Column("Containers", priority=1, cell=lambda obj, now: names_of(_containers(obj))),
        Column("Images", priority=1, cell=lambda obj, now: images_of(_containers(obj))),
        Column("Selector", priority=1, cell=lambda obj, now: NONE),
    ),
    subresources=("status",),
    has_generation=True,
    default=default_cronjob,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    warnings=warnings,
)
