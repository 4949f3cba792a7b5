"""core/v1 LimitRange: defaults and bounds for what pods and claims of a namespace ask for."""

from __future__ import annotations

from fractions import Fraction

from seamark.machinery import gvr, names
from seamark.machinery.quantity import parse_quantity
from seamark.machinery.status import Cause
from seamark.machinery.usage import nanos
from seamark.resources import field
from seamark.resources.access import ensure, entries, section, text
from seamark.resources.core.resource_names import validate_container_resource_name, validate_resource_name
from seamark.resources.registry import NAME, Causes, Column, Obj, Resource

TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def default_limitrange(obj: Obj) -> None:
    """The largest allowed stands in for a default limit, that for a default request, and then the smallest."""
    for item in entries(ensure(obj, "spec"), "limits"):
        if text(item, "type") != "Container":
            continue
        limits, requests = ensure(item, "default"), ensure(item, "defaultRequest")
        for name, value in section(item, "max").items():
            limits.setdefault(name, value)
        for source in (limits, section(item, "min")):
            for name, value in source.items():
                requests.setdefault(name, value)


def validate(obj: Obj) -> Causes:
    causes, seen = list[Cause](), set[str]()
    for i, item in enumerate(entries(obj, "spec", "limits")):
        path, kind = field.index("spec.limits", i), text(item, "type")
        causes += _validate_type(f"{path}.type", kind)
        if kind in seen:
            causes.append(field.duplicate(f"{path}.type", kind))
        seen.add(kind)
        causes += _validate_names(path, kind, item)
        for name in sorted({name for given in _LISTS for name in section(item, given)}):
            causes += _validate_amounts(path, name, item)
    return causes


def _validate_type(path: str, kind: str) -> Causes:
    causes = field.invalids(path, kind, names.validate_qualified_name(kind))
    if not causes and "/" not in kind and kind not in TYPES:
        causes.append(field.invalid(path, kind, "must be a standard limit type or fully qualified"))
    return causes


def _validate_names(path: str, kind: str, item: Obj) -> Causes:
    causes: Causes = []
    check = validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    for given in _LISTS:
        if kind == "Pod" and given in ("default", "defaultRequest"):
            if section(item, given):
                causes.append(field.forbidden(f"{path}.{given}", "may not be specified when `type` is 'Pod'"))
            continue
        if given == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and not _bounds_storage(item):
            detail = "either minimum or maximum storage value is required, but neither was provided"
            causes.append(field.required(f"{path}.limits", detail))
        for name in section(item, given):
            causes += check(f"{path}.{given}[{name}]", name)
    return causes


def _bounds_storage(item: Obj) -> bool:
    return "storage" in section(item, "min") or "storage" in section(item, "max")


def _validate_amounts(path: str, name: str, item: Obj) -> Causes:
    """Smallest, default request, default limit and largest must not overtake one another."""
    shown = {given: str(parse_quantity(section(item, given)[name])) for given in _LISTS if name in section(item, given)}
    checks = (
        ("min", "max", "min", "min", "min value {} is greater than max value {}"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            "min value {} is greater than default request value {}",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than max value {}",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than default limit value {}",
        ),
        ("min", "default", "default", "min", "min value {} is greater than default value {}"),
        ("default", "max", "default", "max", "default value {} is greater than max value {}"),
    )
    causes: Causes = []
    for low, high, where, value, words in checks:
        if low in shown and high in shown and nanos(shown[low]) > nanos(shown[high]):
            detail = words.format(shown[low], shown[high])
            causes.append(field.invalid(f"{path}.{where}[{name}]", shown[value], detail))
    return causes + _validate_ratio(f"{path}.maxLimitRequestRatio[{name}]", shown)


def _validate_ratio(path: str, shown: dict[str, str]) -> Causes:
    ratio = shown.get("maxLimitRequestRatio")
    if ratio is None:
        return []
    causes: Causes = []
    if nanos(ratio) < nanos(1):
        causes.append(field.invalid(path, ratio, f"ratio {ratio} is less than 1"))
    low, high = nanos(shown.get("min", 0)), nanos(shown.get("max", 0))
    if low and "max" in shown and Fraction(nanos(ratio), nanos(1)) > Fraction(high, low):
        causes.append(field.invalid(path, ratio, f"ratio {ratio} is greater than max/min = {high / low:f}"))
    return causes


LIMITRANGE = Resource(
    gvr=gvr.LIMITRANGES,
    singular="limitrange",
    short_names=("limits",),
    columns=(
        NAME,
        Column("Created At", type="date", cell=lambda obj, now: text(obj, "metadata", "creationTimestamp")),
    ),
    default=default_limitrange,
    validate=validate,
)
