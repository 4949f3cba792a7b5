"""policy/v1 PodDisruptionBudget: how many pods of a set evictions must leave alone."""

from __future__ import annotations

from typing import Any

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import ensure, keep, number, section
from seamark.resources.apps.workload import validate_at_most_all, validate_int_or_percent
from seamark.resources.conditions import validate_conditions
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def default_budget(obj: Obj) -> None:
    ensure(obj, "spec")
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    obj["status"] = dict.fromkeys(_COUNTS, 0)


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes: Causes = []
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {
            "MinAvailable": least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        causes.append(field.invalid_struct("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        causes += _validate_amount(f"spec.{name}", spec.get(name))
    if spec.get("selector") is not None:
        causes += validate_label_selector("spec.selector", spec["selector"])
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in POLICIES:
        causes.append(field.not_supported("spec.unhealthyPodEvictionPolicy", policy, POLICIES))
    return causes


def _validate_amount(path: str, value: Any) -> Causes:
    if value is None:
        return []
    return validate_int_or_percent(path, value) + validate_at_most_all(path, value)


def validate_status(new: Obj, old: Obj) -> Causes:
    causes = validate_conditions(new)
    for name in _COUNTS:
        causes += field.not_negative(f"status.{name}", section(new, "status").get(name))
    return causes


def _amount_cell(obj: Obj, name: str) -> str:
    value = section(obj, "spec").get(name)
    return "N/A" if value is None else str(value)


def allowed_cell(obj: Obj, now: float) -> int:
    return number(obj, "status", "disruptionsAllowed")


PODDISRUPTIONBUDGET = Resource(
    gvr=gvr.PODDISRUPTIONBUDGETS,
    singular="poddisruptionbudget",
    short_names=("pdb",),
    columns=(
        NAME,
        Column("Min Available", cell=lambda obj, now: _amount_cell(obj, "minAvailable")),
        Column("Max Unavailable", cell=lambda obj, now: _amount_cell(obj, "maxUnavailable")),
        Column("Allowed Disruptions", type="integer", cell=allowed_cell),
        AGE,
    ),
    subresources=("status",),
    has_generation=True,
    unconditional_update=False,
    default=default_budget,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
)
