"""networking.k8s.io/v1 IPAddress: one address that is taken, and by whom; its name is the address.

The API server makes one for each ClusterIP it gives out (``api/addresses.py``). One that a user makes takes its address
out of the pool.
"""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.addresses import validate_strict_ip
from seamark.resources.columns import NONE
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource


def validate(obj: Obj) -> Causes:
    path, parent = "spec.parentRef", section(obj, "spec").get("parentRef")
    if not isinstance(parent, dict):
        return [field.required(path)]
    causes: Causes = []
    group = text(parent, "group")
    if group:
        causes += field.invalids(f"{path}.group", group, names.validate_dns1123_subdomain(group))
    for name in ("resource", "name"):
        value = text(parent, name)
        if not value:
            causes.append(field.required(f"{path}.{name}"))
        causes += field.invalids(f"{path}.{name}", value, names.validate_path_segment(value))
    namespace = text(parent, "namespace")
    return causes + field.invalids(f"{path}.namespace", namespace, names.validate_path_segment(namespace))


def validate_update(new: Obj, old: Obj) -> Causes:
    parent, before = (
        {key: value for key, value in section(obj, "spec", "parentRef").items() if value}  # "" is absent
        for obj in (new, old)
    )
    return field.immutable("spec.parentRef", parent, before)


def parent_cell(obj: Obj, now: float) -> str:
    parent = section(obj, "spec").get("parentRef")
    if not parent:
        return NONE
    group = f".{parent['group']}" if text(parent, "group") else ""
    where = (text(parent, "resource").lower() + group, text(parent, "namespace"), text(parent, "name"))
    return "/".join(part for part in where if part)


IPADDRESS = Resource(
    gvr=gvr.IPADDRESSES,
    singular="ipaddress",
    short_names=("ip",),
    columns=(NAME, Column("ParentRef", cell=parent_cell), AGE),
    validate=validate,
    validate_update=validate_update,
    validate_name=validate_strict_ip,
)
