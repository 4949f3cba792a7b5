"""storage.k8s.io/v1 StorageClass: how volumes of a name are made. Stored; nothing in Seamark provisions volumes."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import default_pointer, entries, section, text
from seamark.resources.columns import name_cell
from seamark.resources.registry import AGE, Causes, Column, Obj, Resource

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
RECLAIM = ("Delete", "Retain")
BINDING = ("Immediate", "WaitForFirstConsumer")
MAX_PARAMETERS, MAX_BYTES = 512, 256 * 1024


def default_storageclass(obj: Obj) -> None:
    default_pointer(obj, "reclaimPolicy", "Delete")
    default_pointer(obj, "volumeBindingMode", "Immediate")


def validate(obj: Obj) -> Causes:
    provisioner, causes = text(obj, "provisioner"), list[Cause]()
    if not provisioner:
        causes.append(field.required("provisioner"))
    else:
        wrong = names.validate_qualified_name(provisioner.lower())
        causes += field.invalids("provisioner", provisioner.lower(), wrong)
    causes += _validate_parameters(section(obj, "parameters"))
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in RECLAIM:
        causes.append(field.not_supported("reclaimPolicy", policy, RECLAIM))
    if mode not in BINDING:
        causes.append(field.not_supported("volumeBindingMode", mode, BINDING))
    if entries(obj, "allowedTopologies"):
        causes.append(field.forbidden("allowedTopologies", "is not supported by this server"))
    return causes


def _validate_parameters(parameters: Obj) -> Causes:
    if len(parameters) > MAX_PARAMETERS:
        return [field.too_long("parameters", MAX_PARAMETERS)]
    causes: Causes = [field.invalid("parameters", name, "field can not be empty.") for name in parameters if not name]
    if sum(len(name.encode()) + len(str(value).encode()) for name, value in parameters.items()) > MAX_BYTES:
        causes.append(field.too_long("parameters", MAX_BYTES))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    causes: Causes = []
    causes += field.immutable("parameters", new.get("parameters"), old.get("parameters"))
    for name in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        causes += field.immutable(name, text(new, name), text(old, name))
    return causes


def _named(obj: Obj, now: float) -> str:
    is_default = section(obj, "metadata", "annotations").get(IS_DEFAULT) == "true"
    return name_cell(obj, now) + (" (default)" if is_default else "")


STORAGECLASS = Resource(
    gvr=gvr.STORAGECLASSES,
    singular="storageclass",
    short_names=("sc",),
    columns=(
        Column("Name", format="name", cell=_named),
        Column("Provisioner", cell=lambda obj, now: text(obj, "provisioner")),
        Column("ReclaimPolicy", cell=lambda obj, now: text(obj, "reclaimPolicy") or "Delete"),
        Column("VolumeBindingMode", cell=lambda obj, now: text(obj, "volumeBindingMode") or "Immediate"),
        Column("AllowVolumeExpansion", cell=lambda obj, now: bool(obj.get("allowVolumeExpansion"))),
        AGE,
    ),
    default=default_storageclass,
    validate=validate,
    validate_update=validate_update,
)
