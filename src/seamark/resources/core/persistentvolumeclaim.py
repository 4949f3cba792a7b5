"""core/v1 PersistentVolumeClaim: a request for storage, which a controller binds to a PersistentVolume."""

from __future__ import annotations

from typing import Any

from seamark.machinery import gvr, names
from seamark.machinery.usage import nanos
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, entries, keep, section, text
from seamark.resources.columns import UNSET
from seamark.resources.core.claim_source import prepare_source, validate_source
from seamark.resources.core.container_validation import validate_quantity
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
RESIZING = (
    *("ControllerResizeInProgress", "ControllerResizeInfeasible"),
    *("NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"),
)
PROTECTION = "kubernetes.io/pvc-protection"


def default_claim(obj: Obj) -> None:
    default_pointer(ensure(obj, "spec"), "volumeMode", "Filesystem")
    default(ensure(obj, "status"), "phase", "Pending")


def prepare_create(obj: Obj) -> None:
    add_finalizer(obj, PROTECTION)
    prepare_source(section(obj, "spec"), {})
    obj["status"] = {"phase": "Pending"}


def add_finalizer(obj: Obj, finalizer: str) -> None:
    """Kubernetes' admission StorageObjectInUseProtection: what is in use waits with its end."""
    given = entries(obj, "metadata", "finalizers")
    if finalizer not in given:
        obj["metadata"]["finalizers"] = [*given, finalizer]


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")
    prepare_source(section(new, "spec"), section(old, "spec"))


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_label_selector("spec.selector", section(spec, "selector"))
    modes, missing = entries(spec, "accessModes"), "at least 1 access mode is required"
    causes += validate_modes("spec.accessModes", modes, missing=missing)
    causes += _validate_size(section(spec, "resources", "requests"))
    name = text(spec, "storageClassName")
    if name:
        causes += field.invalids("spec.storageClassName", name, names.validate_dns1123_subdomain(name))
    causes += field.one_of("spec.volumeMode", spec.get("volumeMode", ""), ("Block", "Filesystem"))
    return causes + validate_source(spec)


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


def class_of(claim: Obj) -> str:
    return text(claim, "metadata", "annotations", CLASS_ANNOTATION) or text(claim, "spec", "storageClassName")


def size_of(claim: Obj) -> Any:
    return section(claim, "spec", "resources", "requests").get("storage", 0)


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before, causes = section(new, "spec"), section(old, "spec"), Causes()
    bound, free = text(new, "status", "phase") == "Bound", set[str]()
    if not before.get("volumeName"):
        free.add("volumeName")  # set by whoever binds the claim, once
    annotation, was = (section(obj, "metadata", "annotations").get(CLASS_ANNOTATION) for obj in (new, old))
    named_now = before.get("storageClassName") is None and spec.get("storageClassName") is not None
    moved = named_now and was and spec["storageClassName"] == was and annotation in (None, was)
    if annotation != was and not moved:
        path = f"metadata.annotations.{CLASS_ANNOTATION}"
        causes.append(field.invalid(path, annotation or "", field.IMMUTABLE))
    if moved or (named_now and not was):
        free.add("storageClassName")  # from the annotation, or because there is a default class now
    if bound:
        free.add("volumeAttributesClassName")
    if _fixed(spec, free, grows=bound) != _fixed(before, free, grows=bound):
        detail = "except resources.requests and volumeAttributesClassName for bound claims"
        causes.append(field.forbidden("spec", f"spec is immutable after creation {detail}"))
    size, capacity = nanos(size_of(new)), nanos(section(old, "status", "capacity").get("storage", 0))
    if size < nanos(size_of(old)) and size <= capacity:
        detail = "field can not be less than status.capacity"
        causes.append(field.forbidden("spec.resources.requests.storage", detail))
    return causes + field.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))


def _fixed(spec: Obj, free: set[str], *, grows: bool) -> Obj:
    """What may not change. An empty class is not the same as none."""
    kept = {k: v for k, v in spec.items() if k not in free and (v or (k == "storageClassName" and v is not None))}
    if grows and section(spec, "resources").get("requests"):
        requests = {k: v for k, v in section(spec, "resources", "requests").items() if k != "storage"}
        kept["resources"] = {**section(spec, "resources"), "requests": requests}
    return kept


def prepare_status(new: Obj, old: Obj) -> None:
    default(ensure(new, "status"), "phase", "Pending")


def validate_status(new: Obj, old: Obj) -> Causes:
    path, causes = "status.allocatedResourceStatuses", Causes()
    for name, value in section(new, "status", "allocatedResourceStatuses").items():
        if value not in RESIZING:
            causes.append(field.not_supported(path, name, RESIZING))
    return causes


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
    return class_of(obj)


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
    prepare_status=prepare_status,
    validate_status=validate_status,
)
