"""core/v1 Namespace: the scope of names.

The label ``kubernetes.io/metadata.name`` is always its name. It goes only when ``spec.finalizers`` is empty, which the
namespace controller sees to through the ``finalize`` subresource.
"""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default, ensure, entries, keep, section, text
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def default_namespace(obj: Obj) -> None:
    name = text(obj, "metadata", "name")
    if name:
        ensure(ensure(obj, "metadata"), "labels")[NAME_LABEL] = name
    default(ensure(obj, "status"), "phase", "Active")


def prepare_create(obj: Obj) -> None:
    finalizers = entries(obj, "spec", "finalizers")
    if FINALIZER not in finalizers:
        ensure(obj, "spec")["finalizers"] = [*finalizers, FINALIZER]
    obj["status"] = {"phase": "Active"}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    keep(new, old, "status")


def prepare_status(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    default(ensure(new, "status"), "phase", "Active")


def validate(obj: Obj) -> Causes:
    causes: Causes = []
    for name in entries(obj, "spec", "finalizers"):
        causes += field.invalids("spec.finalizers", name, names.validate_qualified_name(name))
        if "/" not in name and name != FINALIZER:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(field.invalid("spec.finalizers", name, detail))
    return causes


def validate_status(new: Obj, old: Obj) -> Causes:
    phase = text(new, "status", "phase")
    is_deleted = bool(section(old, "metadata").get("deletionTimestamp"))
    expected = "Terminating" if is_deleted else "Active"
    if phase == expected:
        return []
    detail = f"may only be '{expected}' if `deletionTimestamp` is {'not empty' if is_deleted else 'empty'}"
    return [field.invalid("status.Phase", phase, detail)]  # the capital is Kubernetes'


NAMESPACE = Resource(
    gvr=gvr.NAMESPACES,
    singular="namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    columns=(NAME, Column("Status", cell=lambda obj, now: text(obj, "status", "phase")), AGE),
    subresources=("finalize", "status"),
    returns_object_on_delete=True,
    field_selectors={
        "status.phase": lambda obj: text(obj, "status", "phase"),
        "name": lambda obj: text(obj, "metadata", "name"),  # what clients of before 1.0 call it
    },
    default=default_namespace,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    prepare_status=prepare_status,
    validate=validate,
    validate_status=validate_status,
    validate_name=names.validate_dns1123_label,
)
