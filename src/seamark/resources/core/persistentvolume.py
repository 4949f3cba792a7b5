"""core/v1 PersistentVolume: a piece of storage. Those on a node's disk (hostPath, local) can be used by pods here."""

from __future__ import annotations

import posixpath

from seamark.machinery import gvr, names
from seamark.machinery.quantity import parse_quantity
from seamark.machinery.usage import nanos
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, entries, keep, section, text
from seamark.resources.columns import UNSET
from seamark.resources.core.container_validation import validate_quantity
from seamark.resources.core.nodeselector import renew_labels, validate_node_selector
from seamark.resources.core.persistentvolumeclaim import CLASS_ANNOTATION, add_finalizer, modes_text, validate_modes
from seamark.resources.core.volume_validation import validate_host_path
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

PROTECTION = "kubernetes.io/pv-protection"
RECLAIM = ("Delete", "Recycle", "Retain")
SOURCES = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte"),
    *("cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk"),
    *("portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi"),
)
_RECYCLE = (
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
    "Instead, the recommended approach is to use dynamic provisioning."
)


def default_volume(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    default(spec, "persistentVolumeReclaimPolicy", "Retain")
    default_pointer(spec, "volumeMode", "Filesystem")
    default(ensure(obj, "status"), "phase", "Pending")
    if isinstance(spec.get("hostPath"), dict):
        default_pointer(spec["hostPath"], "type", "")


def prepare_create(obj: Obj) -> None:
    add_finalizer(obj, PROTECTION)
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": section(obj, "metadata").get("creationTimestamp")}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def source_of(spec: Obj) -> tuple[str, ...]:
    """The kinds of storage it names, of which there may be one."""
    return tuple(name for name in SOURCES if spec.get(name) is not None)


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_modes("spec.accessModes", entries(spec, "accessModes"), missing="")
    causes += _validate_capacity(spec.get("capacity"))
    policy = text(spec, "persistentVolumeReclaimPolicy")
    causes += field.one_of("spec.persistentVolumeReclaimPolicy", policy, RECLAIM) if policy else []
    if spec.get("nodeAffinity") is not None:
        causes += _validate_affinity("spec.nodeAffinity", spec["nodeAffinity"])
    causes += _validate_source(spec)
    if policy == "Recycle" and posixpath.normpath(text(spec, "hostPath", "path") or ".") == "/":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        causes.append(field.forbidden("spec.persistentVolumeReclaimPolicy", detail))
    name = text(spec, "storageClassName")
    if name:
        causes += field.invalids("spec.storageClassName", name, names.validate_dns1123_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None:
        causes += field.one_of("spec.volumeMode", mode, ("Block", "Filesystem"))
    return causes


def _validate_capacity(capacity: Obj | None) -> Causes:
    if capacity is None:
        missing = field.not_supported("spec.capacity", None, ("storage",))
        return [field.required("spec.capacity"), missing]
    causes: Causes = [] if capacity else [field.required("spec.capacity")]
    if "storage" not in capacity or len(capacity) > 1:
        shown = {name: str(parse_quantity(value)) for name, value in sorted(capacity.items())}
        causes.append(field.not_supported_struct("spec.capacity", shown, ("storage",)))
    for name, value in capacity.items():
        path = field.index("spec.capacity", name)
        wrong = validate_quantity(path, value)
        if not wrong and nanos(value) <= 0:
            wrong = [field.invalid(path, str(parse_quantity(value)), "must be greater than zero")]
        causes += wrong
    return causes


def _validate_affinity(path: str, affinity: Obj) -> Causes:
    required = affinity.get("required")
    if required is None:
        return [field.required(f"{path}.required", "must specify required node constraints")]
    return validate_node_selector(f"{path}.required", required)


def _validate_source(spec: Obj) -> Causes:
    given, causes = source_of(spec), Causes()
    if not given:
        return [field.required("spec", "must specify a volume type")]
    for name in given[1:]:
        causes.append(field.forbidden(f"spec.{name}", "may not specify more than 1 volume type"))
    match given[0]:
        case "hostPath":
            causes += validate_host_path("spec.hostPath", section(spec, "hostPath"))
        case "local":
            causes += _validate_local("spec.local", section(spec, "local"))
            if spec.get("nodeAffinity") is None:
                causes.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
    return causes


def _validate_local(path: str, local: Obj) -> Causes:
    where = text(local, "path")
    if not where:
        return [field.required(f"{path}.path")]
    if ".." in where.split("/"):
        return [field.invalid(f"{path}.path", where, "must not contain '..'")]
    return []


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    causes: Causes = []
    if any((spec.get(name) or None) != (before.get(name) or None) for name in SOURCES):
        detail = "spec.persistentvolumesource is immutable after creation"
        causes.append(field.forbidden("spec.persistentvolumesource", detail))
    causes += field.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    affinity, was = spec.get("nodeAffinity"), before.get("nodeAffinity")
    if was and affinity not in (was, renew_labels(was)):
        detail = f"{field.IMMUTABLE}, except for updating from beta label to GA"
        causes.append(field.invalid("nodeAffinity", affinity, detail))
    return causes


def prepare_status(new: Obj, old: Obj) -> None:
    default(ensure(new, "status"), "phase", "Pending")


def warnings(obj: Obj) -> list[str]:
    return [_RECYCLE] if text(obj, "spec", "persistentVolumeReclaimPolicy") == "Recycle" else []


def _claim_cell(obj: Obj, now: float) -> str:
    claim = section(obj, "spec").get("claimRef")
    return f"{text(claim, 'namespace')}/{text(claim, 'name')}" if isinstance(claim, dict) else ""


def _status_cell(obj: Obj, now: float) -> str:
    return "Terminating" if section(obj, "metadata").get("deletionTimestamp") else text(obj, "status", "phase")


def _class_cell(obj: Obj, now: float) -> str:
    return text(obj, "metadata", "annotations", CLASS_ANNOTATION) or text(obj, "spec", "storageClassName")


def _attributes_cell(obj: Obj, now: float) -> str:
    return text(obj, "spec", "volumeAttributesClassName") or UNSET


PERSISTENTVOLUME = Resource(
    gvr=gvr.PERSISTENTVOLUMES,
    singular="persistentvolume",
    short_names=("pv",),
    columns=(
        NAME,
        Column("Capacity", cell=lambda obj, now: str(section(obj, "spec", "capacity").get("storage", "0"))),
        Column("Access Modes", cell=lambda obj, now: modes_text(entries(obj, "spec", "accessModes"))),
        Column("Reclaim Policy", cell=lambda obj, now: text(obj, "spec", "persistentVolumeReclaimPolicy")),
        Column("Status", cell=_status_cell),
        Column("Claim", cell=_claim_cell),
        Column("StorageClass", cell=_class_cell),
        Column("VolumeAttributesClass", cell=_attributes_cell),
        Column("Reason", cell=lambda obj, now: text(obj, "status", "reason")),
        AGE,
        Column("VolumeMode", priority=1, cell=lambda obj, now: text(obj, "spec", "volumeMode") or UNSET),
    ),
    subresources=("status",),
    returns_object_on_delete=True,
    default=default_volume,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    prepare_status=prepare_status,
    warnings=warnings,
)
