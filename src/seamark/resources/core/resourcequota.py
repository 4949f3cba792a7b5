"""core/v1 ResourceQuota: how much of everything a namespace may hold."""

from __future__ import annotations

from typing import Any

from seamark.machinery import gvr
from seamark.machinery.quantity import parse_quantity
from seamark.machinery.status import Cause
from seamark.machinery.usage import POD_SCOPES, nanos
from seamark.resources import field
from seamark.resources.access import ensure, entries, keep, section, text
from seamark.resources.core.resource_names import QUOTA, is_counted_in_whole, validate_quota_resource_name
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

SCOPES = (*POD_SCOPES, "VolumeAttributesClass")
_COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_CLAIMS = ("persistentvolumeclaims", "requests.storage")
_EXISTS_ONLY = tuple(scope for scope in POD_SCOPES if scope != "PriorityClass")
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_EXISTS_RULE = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def default_quota(obj: Obj) -> None:
    ensure(obj, "spec")
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = _validate_amounts("spec.hard", section(spec, "hard"))
    scopes = entries(spec, "scopes")
    for scope in scopes:
        causes += _validate_scope("spec.scopes", scope, spec, shown=scopes)
    causes += _conflicts(set(scopes), scopes)
    if spec.get("scopeSelector") is not None:
        causes += _validate_selector("spec.scopeSelector.matchExpressions", spec)
    return causes


def _validate_amounts(path: str, amounts: Obj) -> Causes:
    causes: Causes = []
    for name, value in amounts.items():
        at = field.index(path, name)
        causes += validate_quota_resource_name(at, name)
        shown = str(parse_quantity(value))
        if nanos(value) < 0:
            causes.append(field.invalid(at, shown, "must be greater than or equal to 0"))
        if is_counted_in_whole(name) and nanos(value) % nanos(1):
            causes.append(field.invalid(at, shown, "must be an integer"))
    return causes


def _fits(scope: str, name: str) -> bool:
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in _CLAIMS
    return name == "pods" or name in _COMPUTE if scope in POD_SCOPES else True


def _validate_scope(path: str, scope: str, spec: Obj, *, shown: Any) -> Causes:
    causes: Causes = []
    if scope not in SCOPES:
        causes.append(field.invalid(path, shown, "unsupported scope"))
    wrong = [name for name in sorted(section(spec, "hard")) if name in QUOTA and not _fits(scope, name)]
    detail = "unsupported scope applied to resource"
    return causes + [field.invalid(path, shown, detail) for _ in wrong]


def _conflicts(found: set[str], shown: Any) -> Causes:
    pairs = [pair for pair in _CONFLICTS if found >= set(pair)]
    return [field.invalid("spec.scopes", shown or None, "conflicting scopes") for _ in pairs]


def _validate_selector(path: str, spec: Obj) -> Causes:
    causes, given = list[Cause](), entries(spec, "scopeSelector", "matchExpressions")
    for one in given:
        scope, operator, values = text(one, "scopeName"), text(one, "operator"), entries(one, "values")
        if scope not in SCOPES:
            causes.append(field.invalid(f"{path}.scopeName", scope, "unsupported scope"))
        wrong = [name for name in sorted(section(spec, "hard")) if name in QUOTA and not _fits(scope, name)]
        shown = {"MatchExpressions": [_struct(each) for each in given]}
        detail = "unsupported scope applied to resource"
        causes += [field.invalid_struct(path, shown, detail) for _ in wrong]
        if scope in _EXISTS_ONLY and operator != "Exists":
            causes.append(field.invalid(f"{path}.operator", operator, _EXISTS_RULE))
        causes += _validate_values(path, operator, values)
    return causes + _conflicts({text(one, "scopeName") for one in given}, entries(spec, "scopes"))


def _struct(one: Obj) -> Obj:
    return {"ScopeName": text(one, "scopeName"), "Operator": text(one, "operator"), "Values": one.get("values")}


def _validate_values(path: str, operator: str, values: list[Any]) -> Causes:
    if operator in ("In", "NotIn"):
        detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        return [] if values else [field.required(f"{path}.values", detail)]
    if operator in ("Exists", "DoesNotExist"):
        detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        return [field.invalid(f"{path}.values", values, detail)] if values else []
    return [field.invalid(f"{path}.operator", operator, "not a valid selector operator")]


def validate_update(new: Obj, old: Obj) -> Causes:
    scopes, before = entries(new, "spec", "scopes"), entries(old, "spec", "scopes")
    return [] if set(scopes) == set(before) else [field.invalid("spec.scopes", scopes or None, field.IMMUTABLE)]


def validate_status(new: Obj, old: Obj) -> Causes:
    status = section(new, "status")
    return _validate_amounts("status.hard", section(status, "hard")) + _validate_amounts(
        "status.used", section(status, "used")
    )


def _cell(obj: Obj, *, limits: bool) -> str:
    hard, used = section(obj, "status", "hard"), section(obj, "status", "used")
    names = sorted(name for name in hard if name.startswith("limits.") is limits)
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)


RESOURCEQUOTA = Resource(
    gvr=gvr.RESOURCEQUOTAS,
    singular="resourcequota",
    short_names=("quota",),
    columns=(
        NAME,
        Column("Request", cell=lambda obj, now: _cell(obj, limits=False)),
        Column("Limit", cell=lambda obj, now: _cell(obj, limits=True)),
        AGE,
    ),
    subresources=("status",),
    default=default_quota,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
