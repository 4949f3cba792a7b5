"""apps/v1 ControllerRevision: an immutable snapshot of a controller's template."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import entries, number
from seamark.resources.columns import NONE
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource


def validate(obj: Obj) -> Causes:
    return field.not_negative("revision", obj.get("revision"))


def validate_create(obj: Obj) -> Causes:
    """Later it cannot change, so that what was stored before is not asked again."""
    data = obj.get("data")
    if data is None:
        return [field.required("data", "data is mandatory")]
    return [] if isinstance(data, dict) else [field.required("data", "data must be a valid JSON object")]


def validate_update(new: Obj, old: Obj) -> Causes:
    return field.immutable("data", new.get("data"), old.get("data"))


def controller_cell(obj: Obj, now: float) -> str:
    """``statefulset.apps/web``: kind and group of the controlling owner, and its name."""
    for owner in entries(obj, "metadata", "ownerReferences"):
        if owner.get("controller"):
            group, _, _ = str(owner.get("apiVersion", "")).rpartition("/")
            kind = str(owner.get("kind", "")).lower()
            return f"{kind}.{group}/{owner.get('name')}" if group else f"{kind}/{owner.get('name')}"
    return NONE


CONTROLLERREVISION = Resource(
    gvr=gvr.CONTROLLERREVISIONS,
    singular="controllerrevision",
    columns=(
        NAME,
        Column("Controller", cell=controller_cell),
        Column("Revision", cell=lambda obj, now: number(obj, "revision")),
        AGE,
    ),
    validate=validate,
    validate_create=validate_create,
    validate_update=validate_update,
)
