"""apps/v1 ReplicaSet: a number of pods of one template."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.access import keep, number, section
from seamark.resources.apps.workload import (
    default_workload,
    selector_is_immutable,
    validate_counts,
    validate_selector,
    validate_status_counts,
    validate_template,
    workload_warnings,
)
from seamark.resources.columns import CONTAINERS, IMAGES, SELECTOR
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource


def default_replicaset(obj: Obj) -> None:
    default_workload(obj, replicas=True)


def prepare_create(obj: Obj) -> None:
    obj["status"] = {"replicas": 0}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_counts(spec, "replicas", "minReadySeconds")
    causes += validate_selector(spec, kind="deployment")
    return causes + validate_template(spec, kind="ReplicaSet")


REPLICASET = Resource(
    gvr=gvr.REPLICASETS,
    singular="replicaset",
    short_names=("rs",),
    categories=("all",),
    columns=(
        NAME,
        Column("Desired", type="integer", cell=lambda obj, now: number(obj, "spec", "replicas")),
        Column("Current", type="integer", cell=lambda obj, now: number(obj, "status", "replicas")),
        Column("Ready", type="integer", cell=lambda obj, now: number(obj, "status", "readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    subresources=("scale", "status"),
    has_generation=True,
    field_selectors={"status.replicas": lambda obj: str(number(obj, "status", "replicas"))},
    default=default_replicaset,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=selector_is_immutable,
    validate_status=validate_status_counts,
    warnings=workload_warnings,
)
