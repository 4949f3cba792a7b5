"""Validation of a Job's spec, in the order and words of pkg/apis/batch/validation; CronJobs have one inside."""

from __future__ import annotations

from typing import Any

from seamark.machinery import names
from seamark.machinery.selectors import SelectorError, selector_from
from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.apps.workload import MISMATCH
from seamark.resources.batch.job_policies import (
    INDEXED,
    unchanged,
    validate_failure_policy,
    validate_index_limits,
    validate_indexed_limits,
    validate_success_policy,
)
from seamark.resources.core.podspec_validation import validate_pod_template
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import Causes, Obj

NON_INDEXED = "NonIndexed"
MAX_INDEXED_PARALLELISM = 100000
REPLACEMENT_POLICIES = ("Failed", "TerminatingOrFailed")
RESTARTS = ("OnFailure", "Never")
CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME = "controller-uid", "job-name"
_COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_MAX_MANAGED_BY = 63


def validate_job(job: Obj) -> Causes:
    spec = section(job, "spec")
    causes = _validate_generated(job)
    causes += validate_job_spec("spec", spec)
    if spec.get("selector") is None:
        causes.append(field.required("spec.selector"))
    else:
        causes += validate_label_selector("spec.selector", spec["selector"])
    labels = section(spec, "template", "metadata").get("labels")
    try:
        if not selector_from(spec.get("selector")).matches(labels):
            causes.append(field.invalid("spec.template.metadata.labels", labels, MISMATCH))
    except SelectorError:
        pass  # validate_label_selector said so
    return causes + _validate_hostname(job)


def _validate_hostname(job: Obj) -> Causes:
    spec, name = section(job, "spec"), text(job, "metadata", "name")
    completions = spec.get("completions") or 0
    if spec.get("completionMode") != INDEXED or completions <= 0:
        return []
    longest = f"{name}-{completions - 1}"
    if not names.validate_dns1123_label(longest):
        return []
    return [field.invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {longest}")]


def _validate_generated(job: Obj) -> Causes:
    """What ``prepare_create`` put into template and selector must still be there."""
    spec = section(job, "spec")
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    uid, name = text(job, "metadata", "uid"), text(job, "metadata", "name")
    causes: Causes = [] if uid else [field.required("metadata.uid")]
    expected = {LEGACY_CONTROLLER_UID: uid, LEGACY_JOB_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}
    labels = section(spec, "template", "metadata", "labels")
    for label, value in expected.items():
        path = f"spec.template.metadata.labels[{label}]"
        if label not in labels:
            causes.append(field.required(path, f"must be '{value}'"))
        elif labels[label] != value:
            causes.append(field.invalid("spec.template.metadata.labels", labels, f"must be '{value}'"))
    try:
        if not selector_from(spec["selector"]).matches(expected):
            causes.append(field.invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))
    except SelectorError:
        pass
    return causes


def validate_job_spec(path: str, spec: Obj) -> Causes:
    causes: Causes = []
    for name in _COUNTS:
        causes += field.not_negative(f"{path}.{name}", spec.get(name))
    causes += validate_index_limits(path, spec)
    causes += _validate_manager(f"{path}.managedBy", spec.get("managedBy"))
    causes += _validate_mode(path, spec) + validate_indexed_limits(path, spec)
    causes += validate_failure_policy(path, spec) + validate_success_policy(path, spec)
    policy = spec.get("podReplacementPolicy")
    known = REPLACEMENT_POLICIES if spec.get("podFailurePolicy") is None else ("Failed",)
    if policy is not None and policy not in known:
        causes.append(field.not_supported(f"{path}.podReplacementPolicy", policy, known))
    causes += validate_pod_template(f"{path}.template", section(spec, "template"))
    restarts, at = text(spec, "template", "spec", "restartPolicy"), f"{path}.template.spec.restartPolicy"
    if restarts in ("", "Always"):
        causes.append(field.required(at, 'valid values: "OnFailure", "Never"'))
    elif restarts not in RESTARTS:
        causes.append(field.not_supported(at, restarts, RESTARTS))
    elif spec.get("podFailurePolicy") is not None and restarts != "Never":
        causes.append(field.invalid(at, restarts, 'only "Never" is supported when podFailurePolicy is specified'))
    return causes


def _validate_manager(path: str, manager: Any) -> Causes:
    if manager is None:
        return []
    causes = field.domain_prefixed_path(path, manager)
    if len(manager) > _MAX_MANAGED_BY:
        causes.append(field.too_long(path, _MAX_MANAGED_BY))
    return causes


def _validate_mode(path: str, spec: Obj) -> Causes:
    mode, causes = spec.get("completionMode"), list[Any]()
    if mode not in (INDEXED, NON_INDEXED):
        causes.append(field.not_supported(f"{path}.completionMode", mode, (NON_INDEXED, INDEXED)))
    if mode != INDEXED:
        return causes
    if spec.get("completions") is None:
        causes.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
    if (spec.get("parallelism") or 0) > MAX_INDEXED_PARALLELISM:
        detail = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        causes.append(field.invalid(f"{path}.parallelism", spec["parallelism"], detail))
    return causes


def validate_job_update(new: Obj, old: Obj) -> Causes:
    """What pods are made of stays; a suspended Job that has not run yet may be told where to run, and on what."""
    spec, before = section(new, "spec"), section(old, "spec")
    causes: Causes = []
    if spec.get("completionMode") != INDEXED:
        causes += field.immutable("spec.completions", spec.get("completions"), before.get("completions"))
    elif spec.get("completions") not in (None, before.get("completions"), spec.get("parallelism")):
        detail = "can only be modified in tandem with spec.parallelism"
        causes.append(field.invalid("spec.completions", spec["completions"], detail))
    causes += field.immutable("spec.selector", spec.get("selector"), before.get("selector"))
    template = section(spec, "template")
    if not _is_at_rest(old):
        causes += field.immutable("spec.template", template, before.get("template"))
    elif template != _as_it_may_be(template, old):
        causes.append(field.invalid("spec.template.spec", section(template, "spec"), field.IMMUTABLE))
    causes += field.immutable("spec.completionMode", spec.get("completionMode"), before.get("completionMode"))
    causes += field.immutable("spec.managedBy", spec.get("managedBy"), before.get("managedBy"))
    return causes + unchanged("spec", spec, before)


def _is_at_rest(job: Obj) -> bool:
    """Told to be suspended, and so it is."""
    status = section(job, "status")
    conditions = status.get("conditions") or ()
    suspended = any(c.get("type") == "Suspended" and c.get("status") == "True" for c in conditions)
    idle = not status.get("active") and (status.get("startTime") is None or suspended)
    return bool(section(job, "spec").get("suspend")) and idle


def _as_it_may_be(template: Obj, old: Obj) -> Obj:
    """The old template, with what of the new one may differ from it."""
    before = section(old, "spec", "template")
    pod = dict(section(before, "spec"))
    for name in ("nodeSelector", "tolerations", "schedulingGates"):
        _take(pod, section(template, "spec"), name)
    affinity = dict(section(pod, "affinity"))
    _take(affinity, section(template, "spec", "affinity"), "nodeAffinity")
    if affinity or "affinity" in section(template, "spec"):
        pod["affinity"] = affinity
    else:
        pod.pop("affinity", None)
    for name in ("containers", "initContainers"):
        ours, theirs = pod.get(name) or [], section(template, "spec").get(name) or []
        if [c.get("name") for c in ours] == [c.get("name") for c in theirs] and ours:
            pod[name] = [_resized(one, other) for one, other in zip(ours, theirs, strict=True)]
    meta = dict(section(before, "metadata"))
    for name in ("labels", "annotations"):
        _take(meta, section(template, "metadata"), name)
    return {**before, "metadata": meta, "spec": pod}


def _resized(container: Obj, wanted: Obj) -> Obj:
    found = dict(container)
    _take(found, wanted, "resources")
    return found


def _take(to: Obj, source: Obj, name: str) -> None:
    if name in source:
        to[name] = source[name]
    else:
        to.pop(name, None)
