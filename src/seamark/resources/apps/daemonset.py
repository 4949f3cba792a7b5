"""apps/v1 DaemonSet: one pod on every fitting node."""

from __future__ import annotations

from collections.abc import Callable

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, keep, number, section, text
from seamark.resources.apps.workload import (
    HISTORY_LIMIT,
    amount,
    default_workload,
    selector_is_immutable,
    strategy_struct,
    template_warnings,
    validate_at_most_all,
    validate_counts,
    validate_int_or_percent,
    validate_selector,
    validate_template,
)
from seamark.resources.columns import CONTAINERS, IMAGES, SELECTOR, format_labels
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

STRATEGIES = ("RollingUpdate", "OnDelete")
EMPTY_STATUS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def default_daemonset(obj: Obj) -> None:
    spec = default_workload(obj, replicas=False)
    strategy = ensure(spec, "updateStrategy")
    default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = ensure(strategy, "rollingUpdate")
        default_pointer(rolling, "maxUnavailable", 1)
        default_pointer(rolling, "maxSurge", 0)
    default(spec, "revisionHistoryLimit", HISTORY_LIMIT)


def prepare_create(obj: Obj) -> None:
    obj["status"] = dict.fromkeys(EMPTY_STATUS, 0)
    ensure(ensure(obj, "metadata"), "annotations")[TEMPLATE_GENERATION] = "1"


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")
    given = number_of_template(old)
    changed = section(new, "spec").get("template") != section(old, "spec").get("template")
    ensure(ensure(new, "metadata"), "annotations")[TEMPLATE_GENERATION] = str(given + changed)


def number_of_template(obj: Obj) -> int:
    """How often the template changed; kept in an annotation since apps/v1 has no field for it."""
    value = text(obj, "metadata", "annotations", TEMPLATE_GENERATION)
    return int(value) if value.isdecimal() else 0


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    # Kubernetes does not ask a DaemonSet for a selector; without one the template is not matched.
    causes = validate_selector(spec, kind="daemonset") if spec.get("selector") is not None else []
    causes += validate_template(spec, kind="DaemonSet")
    causes += validate_counts(spec, "minReadySeconds")
    causes += _validate_strategy(section(spec, "updateStrategy"))
    return causes + validate_counts(spec, "revisionHistoryLimit")


def _validate_strategy(strategy: Obj) -> Causes:
    path = "spec.updateStrategy"
    if text(strategy, "type") == "OnDelete":
        return []
    if text(strategy, "type") != "RollingUpdate":
        shown = strategy_struct(strategy, "maxUnavailable", "maxSurge")
        if shown["RollingUpdate"] is not None:
            shown["RollingUpdate"] = {name: value or 0 for name, value in shown["RollingUpdate"].items()}
        return [field.not_supported_struct(path, shown, STRATEGIES)]
    rolling = section(strategy, "rollingUpdate")
    path += ".rollingUpdate"
    causes: Causes = []
    for check in (validate_int_or_percent, validate_at_most_all):
        for name in ("maxUnavailable", "maxSurge"):
            causes += check(f"{path}.{name}", rolling.get(name))
    unavailable, surge = amount(rolling.get("maxUnavailable")), amount(rolling.get("maxSurge"))
    if unavailable and surge:
        detail = "may not be set when maxUnavailable is non-zero"
        causes.append(field.invalid(f"{path}.maxSurge", rolling.get("maxSurge"), detail))
    elif not unavailable and not surge:
        causes.append(field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return causes


def validate_status(new: Obj, old: Obj) -> Causes:
    causes: Causes = []
    for name, value in section(new, "status").items():
        if isinstance(value, int) and not isinstance(value, bool):
            causes += field.not_negative(f"status.{name}", value)
    return causes


def _count(name: str) -> Callable[[Obj, float], int]:
    return lambda obj, now: number(obj, "status", name)


DAEMONSET = Resource(
    gvr=gvr.DAEMONSETS,
    singular="daemonset",
    short_names=("ds",),
    categories=("all",),
    columns=(
        NAME,
        Column("Desired", type="integer", cell=_count("desiredNumberScheduled")),
        Column("Current", type="integer", cell=_count("currentNumberScheduled")),
        Column("Ready", type="integer", cell=_count("numberReady")),
        Column("Up-to-date", type="integer", cell=_count("updatedNumberScheduled")),
        Column("Available", type="integer", cell=_count("numberAvailable")),
        Column(
            "Node Selector",
            cell=lambda obj, now: format_labels(section(obj, "spec", "template", "spec", "nodeSelector")),
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    subresources=("status",),
    has_generation=True,
    default=default_daemonset,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=selector_is_immutable,
    validate_status=validate_status,
    warnings=template_warnings,
)
