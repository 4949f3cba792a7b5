"""core/v1 ConfigMap: plain text and bytes by key."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import section
from seamark.resources.core.secret import MAX_BYTES, decoded_size, immutable_data
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource


def validate(obj: Obj) -> Causes:
    plain, binary = section(obj, "data"), section(obj, "binaryData")
    causes: Causes = []
    for name in plain:
        path = field.index("data", name)
        causes += field.invalids(path, name, names.validate_config_key(name))
        if name in binary:
            causes.append(field.invalid(path, name, "duplicate of key present in binaryData"))
    for name in binary:
        causes += field.invalids(field.index("binaryData", name), name, names.validate_config_key(name))
    size = sum(len(str(value).encode()) for value in plain.values())
    if size + decoded_size(binary) > MAX_BYTES:
        # The path is how Kubernetes prints that the whole object is meant.
        causes.append(field.too_long("[]", MAX_BYTES))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    return immutable_data(new, old, "data", "binaryData")


CONFIGMAP = Resource(
    gvr=gvr.CONFIGMAPS,
    singular="configmap",
    short_names=("cm",),
    columns=(
        NAME,
        Column("Data", cell=lambda obj, now: len(section(obj, "data")) + len(section(obj, "binaryData"))),
        AGE,
    ),
    validate=validate,
    validate_update=validate_update,
)
