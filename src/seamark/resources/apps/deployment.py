"""apps/v1 Deployment: replicas of a template, rolled from one revision to the next."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.machinery.selectors import SelectorError
from seamark.resources import field
from seamark.resources.access import default, default_pointer, ensure, keep, number, section, text
from seamark.resources.apps.workload import (
    HISTORY_LIMIT,
    amount,
    default_workload,
    selector_is_immutable,
    strategy_struct,
    validate_at_most_all,
    validate_counts,
    validate_int_or_percent,
    validate_selector,
    validate_status_counts,
    validate_template,
    workload_warnings,
)
from seamark.resources.columns import CONTAINERS, IMAGES, selector_text
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

PROGRESS_SECONDS = 600
STRATEGIES = ("Recreate", "RollingUpdate")


def default_deployment(obj: Obj) -> None:
    spec = default_workload(obj, replicas=True)
    strategy = ensure(spec, "strategy")
    default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = ensure(strategy, "rollingUpdate")
        default_pointer(rolling, "maxUnavailable", "25%")
        default_pointer(rolling, "maxSurge", "25%")
    default(spec, "revisionHistoryLimit", HISTORY_LIMIT)
    default(spec, "progressDeadlineSeconds", PROGRESS_SECONDS)
    if spec.get("paused") is False:
        del spec["paused"]


def prepare_create(obj: Obj) -> None:
    obj["status"] = {}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = validate_counts(spec, "replicas")
    causes += validate_selector(spec, kind="deployment")
    causes += validate_template(spec, kind="ReplicaSet")
    causes += _validate_strategy(section(spec, "strategy"))
    causes += validate_counts(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline, least = number(spec, "progressDeadlineSeconds"), number(spec, "minReadySeconds")
    if deadline <= least:
        causes.append(field.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes


def _validate_strategy(strategy: Obj) -> Causes:
    path = "spec.strategy.rollingUpdate"
    match text(strategy, "type"):
        case "Recreate":
            if strategy.get("rollingUpdate") is None:
                return []
            return [field.forbidden(path, "may not be specified when strategy `type` is 'Recreate'")]
        case "RollingUpdate":
            rolling = section(strategy, "rollingUpdate")
        case _:
            shown = strategy_struct(strategy, "maxUnavailable", "maxSurge")
            return [field.not_supported_struct("spec.strategy", shown, STRATEGIES)]
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    causes = validate_int_or_percent(f"{path}.maxUnavailable", unavailable)
    causes += validate_int_or_percent(f"{path}.maxSurge", surge)
    if amount(unavailable) == amount(surge) == 0:
        causes.append(field.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return causes + validate_at_most_all(f"{path}.maxUnavailable", unavailable)


def selector_cell(obj: Obj, now: float) -> str:
    try:
        return selector_text(section(obj, "spec").get("selector"))
    except SelectorError:
        return "<invalid>"


DEPLOYMENT = Resource(
    gvr=gvr.DEPLOYMENTS,
    singular="deployment",
    short_names=("deploy",),
    categories=("all",),
    columns=(
        NAME,
        Column(
            "Ready",
            cell=lambda obj, now: f"{number(obj, 'status', 'readyReplicas')}/{number(obj, 'spec', 'replicas')}",
        ),
        Column("Up-to-date", cell=lambda obj, now: number(obj, "status", "updatedReplicas")),
        Column("Available", cell=lambda obj, now: number(obj, "status", "availableReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, cell=selector_cell),
    ),
    subresources=("scale", "status"),
    has_generation=True,
    annotations_move_generation=True,
    default=default_deployment,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=selector_is_immutable,
    validate_status=validate_status_counts,
    warnings=workload_warnings,
)
