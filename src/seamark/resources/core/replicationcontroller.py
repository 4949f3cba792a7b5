"""core/v1 ReplicationController: the elder of the ReplicaSet, with a selector of plain labels."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import default, ensure, keep, number, section
from seamark.resources.apps.workload import (
    MISMATCH,
    template_warnings,
    validate_counts,
    validate_status_counts,
)
from seamark.resources.columns import CONTAINERS, IMAGES, format_labels
from seamark.resources.core.podspec_defaults import default_pod_spec
from seamark.resources.core.podspec_validation import validate_pod_template
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource


def default_replicationcontroller(obj: Obj) -> None:
    """Labels of the template stand in for a selector, and for labels of its own."""
    spec = ensure(obj, "spec")
    default(spec, "replicas", 1)
    if isinstance(spec.get("template"), dict):
        ensure(spec["template"], "metadata")
        default_pod_spec(ensure(spec["template"], "spec"))
    labels = section(spec, "template", "metadata", "labels")
    if labels and not section(spec, "selector"):
        spec["selector"] = dict(labels)
    meta = ensure(obj, "metadata")
    if labels and not section(meta, "labels"):
        meta["labels"] = dict(labels)
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {"replicas": 0}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_counts(spec, "minReadySeconds")
    selector, template = section(spec, "selector"), spec.get("template")
    if not selector:
        causes.append(field.required("spec.selector"))
    causes += validate_counts(spec, "replicas")
    if template is None:
        return [*causes, field.required("spec.template")]
    labels = section(template, "metadata").get("labels")
    if selector and not selector.items() <= (labels or {}).items():
        causes.append(field.invalid("spec.template.metadata.labels", labels, MISMATCH))
    causes += validate_pod_template("spec.template", template)
    pod = section(template, "spec")
    if pod.get("restartPolicy") != "Always":
        policy = pod.get("restartPolicy", "")
        causes.append(field.not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicationController is not Supported"
        causes.append(field.forbidden("spec.template.spec.activeDeadlineSeconds", detail))
    return causes


REPLICATIONCONTROLLER = Resource(
    gvr=gvr.REPLICATIONCONTROLLERS,
    singular="replicationcontroller",
    short_names=("rc",),
    categories=("all",),
    columns=(
        NAME,
        Column("Desired", type="integer", cell=lambda obj, now: number(obj, "spec", "replicas")),
        Column("Current", type="integer", cell=lambda obj, now: number(obj, "status", "replicas")),
        Column("Ready", type="integer", cell=lambda obj, now: number(obj, "status", "readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, cell=lambda obj, now: format_labels(section(obj, "spec", "selector"))),
    ),
    subresources=("scale", "status"),
    has_generation=True,
    orphans_by_default=True,
    field_selectors={"status.replicas": lambda obj: str(number(obj, "status", "replicas"))},
    default=default_replicationcontroller,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status_counts,
    warnings=template_warnings,
)
