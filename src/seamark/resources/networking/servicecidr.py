"""networking.k8s.io/v1 ServiceCIDR: a range that ClusterIPs come from; ``kubernetes`` is the one of the settings."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import ensure, entries, keep, section
from seamark.resources.addresses import family_of, validate_cidr, validate_strict_cidr
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

DEFAULT_NAME = "kubernetes"
MOST = 2


def default_servicecidr(obj: Obj) -> None:
    ensure(obj, "spec")
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def is_ready(obj: Obj) -> bool:
    """Whether addresses may be taken out of it: its controller has seen it, and it is not on its way out."""
    if section(obj, "metadata").get("deletionTimestamp"):
        return False
    conditions = entries(obj, "status", "conditions")
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def validate_create(obj: Obj) -> Causes:
    path, cidrs = "spec.cidrs", entries(obj, "spec", "cidrs")
    if not cidrs:
        return [field.required(path, "at least one CIDR required")]
    if len(cidrs) > MOST:
        return [field.invalid_struct(path, {"CIDRs": cidrs}, "may only hold up to 2 values")]
    causes = [cause for i, cidr in enumerate(cidrs) for cause in validate_strict_cidr(f"{path}[{i}]", cidr)]
    families = {family_of(cidr.partition("/")[0]) for cidr in cidrs}
    if len(cidrs) == MOST and len(families) == 1 and not any(validate_cidr(path, cidr) for cidr in cidrs):
        detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        causes.append(field.invalid(path, cidrs, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    """A second family may be added to the first; nothing else changes."""
    path, cidrs, before = "spec.cidrs", entries(new, "spec", "cidrs"), entries(old, "spec", "cidrs")
    grows = len(before) == 1 and len(cidrs) == MOST
    if len(cidrs) != len(before) and not grows:
        return [field.invalid(path, cidrs, field.IMMUTABLE)]
    pairs = enumerate(zip(cidrs, before, strict=False))
    causes = [c for i, (one, was) in pairs for c in field.immutable(f"{path}[{i}]", one, was)]
    return causes + validate_create(new) if grows else causes


SERVICECIDR = Resource(
    gvr=gvr.SERVICECIDRS,
    singular="servicecidr",
    columns=(NAME, Column("CIDRs", cell=lambda obj, now: ",".join(entries(obj, "spec", "cidrs"))), AGE),
    subresources=("status",),
    default=default_servicecidr,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=validate_create,
    validate_update=validate_update,
)
