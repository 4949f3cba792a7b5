"""An autoscaler and the scale of its target -> replicas, conditions, events; pure.

The bounds hold at once. What lies between them would be decided by metrics, and nobody serves ``metrics.k8s.io`` here:
the conditions and events are those of Kubernetes without a metrics server, which tools already know how to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from seamark.controllers.horizontalpodautoscaler.objects import Autoscaler, AutoscalerCondition, AutoscalerStatus
from seamark.machinery.clock import format_time

GET_SCALE = "the HPA controller was unable to get the target's current scale: "
NO_METRICS = "the server could not find the requested resource (get {what}.{group})"
_RESOURCE, _CUSTOM, _EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"


@dataclass(frozen=True, slots=True)
class Told:
    reason: str
    message: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """``replicas`` None = the target stays as it is."""

    status: AutoscalerStatus
    replicas: int | None = None
    events: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    replicas: int
    selector: str = ""


def plan_unreachable(hpa: Autoscaler, error: str, *, now: float) -> Outcome:
    """The target has no scale to look at."""
    condition = ("AbleToScale", "False", "FailedGetScale", GET_SCALE + error)
    return Outcome(_with(hpa.status, now, condition), events=(Told("FailedGetScale", error),))


def plan_autoscaler(hpa: Autoscaler, scale: Scale, *, now: float) -> Outcome:
    least = 1 if hpa.spec.min_replicas is None else hpa.spec.min_replicas
    most, there = hpa.spec.max_replicas, scale.replicas
    able = ("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
    if there == 0 and least != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        status = _with(hpa.status, now, able, ("ScalingActive", "False", "ScalingDisabled", text))
        return Outcome(_counted(status, 0, 0))
    if there > most:
        return _rescaled(hpa, there, most, "Current number of replicas above Spec.MaxReplicas", now)
    if there < least:
        return _rescaled(hpa, there, least, "Current number of replicas below Spec.MinReplicas", now)
    told = _why_no_count(hpa, scale)
    status = _with(hpa.status, now, able, ("ScalingActive", "False", told[0].reason, told[0].message))
    return Outcome(_counted(status, there, hpa.status.desired_replicas), events=_events(told))


def _rescaled(hpa: Autoscaler, there: int, wanted: int, reason: str, now: float) -> Outcome:
    text = f"the HPA controller was able to update the target scale to {wanted}"
    status = _with(hpa.status, now, ("AbleToScale", "True", "SucceededRescale", text))
    status = msgspec.structs.replace(status, last_scale_time=format_time(now))
    told = Told("SuccessfulRescale", f"New size: {wanted}; reason: {reason}", warning=False)
    return Outcome(_counted(status, there, wanted), wanted, (told,))


def plan_refused(hpa: Autoscaler, outcome: Outcome, error: str, *, now: float) -> Outcome:
    """The target did not take its new size."""
    text = f"the HPA controller was unable to update the target scale: {error}"
    status = _with(hpa.status, now, ("AbleToScale", "False", "FailedUpdateScale", text))
    told = Told("FailedRescale", f"New size: {outcome.replicas}; error: {error}")
    return Outcome(_counted(status, outcome.status.current_replicas, hpa.status.desired_replicas), events=(told,))


def _why_no_count(hpa: Autoscaler, scale: Scale) -> tuple[Told, str]:
    """The condition, and the same as part of the event about all metrics."""
    if not scale.selector:
        return Told("InvalidSelector", "the HPA target's scale is missing a selector"), "selector is required"
    metrics = hpa.spec.metrics or [{}]
    reason, error, about = _why_no_metric(metrics[0])
    text = f"the HPA was unable to compute the replica count: {error}"
    invalid = f"invalid metrics ({len(metrics)} invalid out of {len(metrics)}), first error is: {about}: {error}"
    return Told(reason, text), invalid


def _why_no_metric(metric: dict[str, Any]) -> tuple[str, str, str]:
    """Reason, error, and what could not be had."""
    kind = str(metric.get("type", ""))
    source = metric.get(kind[:1].lower() + kind[1:]) or {}
    if kind in ("Resource", "ContainerResource"):
        name = source.get("name", "")
        of = "utilization" if (source.get("target") or {}).get("averageUtilization") is not None else "usage"
        api = f"unable to fetch metrics from resource metrics API: {NO_METRICS.format(what='pods', group=_RESOURCE)}"
        error = f"failed to get {name} {of}: unable to get metrics for resource {name}: {api}"
        of_what = f"{source['container']} container" if "container" in source else f"{name} resource"
        return f"FailedGet{kind}Metric", error, f"failed to get {of_what} metric value"
    name = (source.get("metric") or {}).get("name", "")
    group = _EXTERNAL if kind == "External" else _CUSTOM
    api = f"unable to fetch metrics from {'external' if kind == 'External' else 'custom'} metrics API"
    error = f"unable to get metric {name}: {api}: {NO_METRICS.format(what=name, group=group)}"
    return f"FailedGet{kind}Metric", error, f"failed to get {kind.lower()} metric value"


def _events(told: tuple[Told, str]) -> tuple[Told, ...]:
    condition, invalid = told
    prefix = "the HPA was unable to compute the replica count: "
    return (
        Told(condition.reason, condition.message.removeprefix(prefix)),
        Told("FailedComputeMetricsReplicas", invalid),
    )


def _with(status: AutoscalerStatus, now: float, *conditions: tuple[str, str, str, str]) -> AutoscalerStatus:
    found = list(status.conditions or ())
    for kind, state, reason, message in conditions:
        known = next((c for c in found if c.type == kind), None)
        since = known.last_transition_time if known and known.status == state else format_time(now)
        new = AutoscalerCondition(kind, state, reason, message, since)
        found = [new if c.type == kind else c for c in found] if known else [*found, new]
    return msgspec.structs.replace(status, conditions=found)


def _counted(status: AutoscalerStatus, current: int, desired: int) -> AutoscalerStatus:
    return msgspec.structs.replace(status, current_replicas=current, desired_replicas=desired)
