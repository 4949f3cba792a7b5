"""core/v1 PersistentVolumeClaim: a request for storage, which a controller binds to a PersistentVolume."""

from __future__ import annotations

from typing import Any

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, entries, keep, section, text
from seamark.resources.columns import UNSET
from seamark.resources.core.container_validation import validate_quantity
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
PROTECTION = "kubernetes.io/pvc-protection"
UPDATABLE = ("resources", "volumeAttributesClassName")


def default_claim(obj: Obj) -> None:
    default_pointer(ensure(obj, "spec"), "volumeMode", "Filesystem")
    default(ensure(obj, "status"), "phase", "Pending")


def prepare_create(obj: Obj) -> None:
    add_finalizer(obj, PROTECTION)
    obj["status"] = {"phase": "Pending"}


def add_finalizer(obj: Obj, finalizer: str) -> None:
    """Kubernetes' admission StorageObjectInUseProtection: what is in use waits with its end."""
    given = entries(obj, "metadata", "finalizers")
    if finalizer not in given:
        obj["metadata"]["finalizers"] = [*given, finalizer]


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_label_selector("spec.selector", section(spec, "selector"))
    modes, missing = entries(spec, "accessModes"), "at least 1 access mode is required"
    causes += validate_modes("spec.accessModes", modes, missing=missing)
    causes += _validate_size(section(spec, "resources", "requests"))
    name = text(spec, "storageClassName")
    if name:
        causes += field.invalids("spec.storageClassName", name, names.validate_dns1123_subdomain(name))
    return causes + field.one_of("spec.volumeMode", spec.get("volumeMode", ""), ("Block", "Filesystem"))


def validate_modes(path: str, modes: list[Any], *, missing: str) -> Causes:
    causes: Causes = [] if modes else [field.required(path, missing)]
    for mode in modes:
        causes += field.one_of(path, mode, ACCESS_MODES)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        causes.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return causes


def _validate_size(requests: Obj) -> Causes:
    path = "spec.resources[storage]"
    if "storage" not in requests:
        return [field.required(path)]
    causes = validate_quantity(path, requests["storage"])
    if not causes and str(requests["storage"]).strip("0.") == "":
        causes.append(field.invalid(path, requests["storage"], "must be greater than zero"))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    # volumeName is set by whoever binds the claim, once; a class also, where there was no default one yet.
    free = {*UPDATABLE, *(name for name in ("volumeName", "storageClassName") if before.get(name) in (None, ""))}
    if all((spec.get(name) or None) == (before.get(name) or None) for name in (spec.keys() | before.keys()) - free):
        return []
    detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [field.forbidden("spec", detail)]


def status_cell(obj: Obj, now: float) -> str:
    return "Terminating" if section(obj, "metadata").get("deletionTimestamp") else text(obj, "status", "phase")


def capacity_cell(obj: Obj, now: float) -> str:
    return text(obj, "status", "capacity", "storage") if text(obj, "spec", "volumeName") else ""


def modes_cell(obj: Obj, now: float) -> str:
    if not text(obj, "spec", "volumeName"):
        return ""
    return modes_text(entries(obj, "status", "accessModes"))


def modes_text(modes: list[Any]) -> str:
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in modes)


def class_cell(obj: Obj, now: float) -> str:
    return text(obj, "metadata", "annotations", CLASS_ANNOTATION) or text(obj, "spec", "storageClassName")


PERSISTENTVOLUMECLAIM = Resource(
    gvr=gvr.PERSISTENTVOLUMECLAIMS,
    singular="persistentvolumeclaim",
    short_names=("pvc",),
    columns=(
        NAME,
        Column("Status", cell=status_cell),
        Column("Volume", cell=lambda obj, now: text(obj, "spec", "volumeName")),
        Column("Capacity", cell=capacity_cell),
        Column("Access Modes", cell=modes_cell),
        Column("StorageClass", cell=class_cell),
        Column("VolumeAttributesClass", cell=lambda obj, now: text(obj, "spec", "volumeAttributesClassName") or UNSET),
        AGE,
        Column("VolumeMode", priority=1, cell=lambda obj, now: text(obj, "spec", "volumeMode") or UNSET),
    ),
    subresources=("status",),
    returns_object_on_delete=True,
    default=default_claim,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
)
