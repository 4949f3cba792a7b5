"""HorizontalPodAutoscalers between autoscaling/v1 and v2.

v1 knows the utilisation of the CPU alone; everything else of v2 travels in annotations, in shapes of its own (the
behaviour in the spelling of Go's fields), and comes back from there. Facts: k8s.io/kubernetes
pkg/apis/autoscaling/v1/conversion.go; ``tests/resources/autoscaling/conversions.json`` has what it gives.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.machinery.gvr import GVR
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Obj

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, STATUSES, CONDITIONS, BEHAVIOR = (
    f"{PREFIX}{name}" for name in ("metrics", "current-metrics", "conditions", "behavior")
)
_ROUND_TRIP = (METRICS, STATUSES, CONDITIONS, BEHAVIOR)
DEFAULT_UTILIZATION = 80
_SOURCES = ("object", "pods", "resource", "containerResource", "external")


def convert(obj: Obj, to: GVR) -> Obj:
    """The autoscaler in the version of ``to``; one that is in it already is given back as it is."""
    if obj.get("apiVersion") == to.api_version:
        return obj
    found = _to_v1(obj) if to.version == "v1" else _to_v2(obj)
    return {**found, "apiVersion": to.api_version}


def cpu_metric(percent: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _without_annotations(obj: Obj) -> tuple[Obj, dict[str, Any]]:
    """The object without what travelled in annotations, and that."""
    meta = dict(section(obj, "metadata"))
    given = section(meta, "annotations")
    kept = {key: value for key, value in given.items() if key not in _ROUND_TRIP}
    if kept:
        meta["annotations"] = kept
    else:
        meta.pop("annotations", None)
    carried: dict[str, Any] = {}
    for key in given.keys() & set(_ROUND_TRIP):
        try:
            carried[key] = msgspec.json.decode(str(given[key]))
        except msgspec.DecodeError:
            continue  # whoever wrote it there by hand
    return {**obj, "metadata": meta}, carried


def _is_cpu(metric: Obj) -> bool:
    """The one metric that v1 has a field for."""
    resource = section(metric, "resource")
    plain = text(metric, "type") == "Resource" and resource.get("name") == "cpu"
    return plain and section(resource, "target").get("averageUtilization") is not None


def _to_v1(obj: Obj) -> Obj:
    found, _ = _without_annotations(obj)
    spec, status = dict(section(found, "spec")), dict(section(found, "status"))
    metrics, current = entries(spec, "metrics"), entries(status, "currentMetrics")
    others = [_old_metric(metric) for metric in metrics if not _is_cpu(metric)]
    carried: dict[str, Any] = {
        METRICS: others,
        STATUSES: [_old_metric(metric, current=True) for metric in current],
        CONDITIONS: entries(status, "conditions"),
        BEHAVIOR: _spelled(spec["behavior"], whole=True) if spec.get("behavior") is not None else None,
    }
    for name in ("metrics", "behavior"):
        spec.pop(name, None)
    for name in ("currentMetrics", "conditions"):
        status.pop(name, None)
    for metric in filter(_is_cpu, metrics):
        spec.setdefault("targetCPUUtilizationPercentage", metric["resource"]["target"]["averageUtilization"])
    for metric in current:
        used = section(metric, "resource", "current").get("averageUtilization")
        if text(metric, "resource", "name") == "cpu" and used is not None:
            status["currentCPUUtilizationPercentage"] = used
    annotations = {key: msgspec.json.encode(value).decode() for key, value in carried.items() if value}
    if annotations:
        found["metadata"]["annotations"] = {**section(found, "metadata", "annotations"), **annotations}
    return {**found, "spec": spec, **({"status": status} if "status" in obj else {})}


def _to_v2(obj: Obj) -> Obj:
    found, carried = _without_annotations(obj)
    spec, status = dict(section(found, "spec")), dict(section(found, "status"))
    percent, used = (
        spec.pop("targetCPUUtilizationPercentage", None),
        status.pop("currentCPUUtilizationPercentage", None),
    )
    metrics = [_new_metric(metric) for metric in carried.get(METRICS) or ()]
    if percent is not None or not metrics:
        metrics.append(cpu_metric(DEFAULT_UTILIZATION if percent is None else percent))
    spec["metrics"] = metrics
    if carried.get(BEHAVIOR):
        spec["behavior"] = _spelled(carried[BEHAVIOR], whole=False)
    if carried.get(STATUSES):
        status["currentMetrics"] = [_new_metric(metric, current=True) for metric in carried[STATUSES]]
    elif used is not None:
        status["currentMetrics"] = [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}}
        ]
    if carried.get(CONDITIONS):
        status["conditions"] = carried[CONDITIONS]
    return {**found, "spec": spec, **({"status": status} if "status" in obj or status else {})}


_RULES = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")


def _spelled(behavior: Obj, *, whole: bool) -> Obj:
    """The behaviour with Go's names for its fields, or back; ``whole`` writes what is unset too, as Go does."""

    def named(name: str) -> str:
        return (name[:1].upper() if whole else name[:1].lower()) + name[1:]

    found: Obj = {}
    for direction, rules in behavior.items():
        if rules is None:
            continue
        mine = {named(name): value for name, value in rules.items() if value is not None or whole}
        policies = [
            {named(name): value for name, value in policy.items()} for policy in mine.get(named("policies")) or ()
        ]
        if policies or whole:
            mine[named("policies")] = policies
        found[named(direction)] = {**(dict.fromkeys(_RULES) if whole else {}), **mine}
    return found


def _old_metric(metric: Obj, *, current: bool = False) -> Obj:
    """A metric, or what it is at, in v1's shape: the target's numbers stand beside the name."""
    kind = next((name for name in _SOURCES if metric.get(name) is not None), "")
    if not kind:
        return dict(metric)
    source, word = section(metric, kind), "current" if current else "target"
    values, identity = section(source, word), section(source, "metric")
    named: Obj = {name: source[name] for name in ("name", "container") if name in source}
    if identity.get("name"):
        named["metricName"] = identity["name"]
    if identity.get("selector") is not None:
        named["metricSelector" if kind == "external" else "selector"] = identity["selector"]
    if kind == "object":
        named["target"] = dict(section(source, "describedObject"))
        named[f"{word}Value"] = values.get("value", "0")
        numbers = {"averageValue": values.get("averageValue")}
    else:
        numbers = {
            f"{word}AverageUtilization": values.get("averageUtilization"),
            f"{word}AverageValue": values.get("averageValue"),
            f"{word}Value": values.get("value"),
        }
    numbers = {name: value for name, value in numbers.items() if value is not None}
    return {"type": metric.get("type"), kind: {**named, **numbers}}


def _new_metric(metric: Obj, *, current: bool = False) -> Obj:
    kind = next((name for name in _SOURCES if metric.get(name) is not None), "")
    if not kind:
        return dict(metric)
    source, word = section(metric, kind), "current" if current else "target"
    found: Obj = {name: source[name] for name in ("name", "container") if name in source}
    if "metricName" in source:
        selector = source.get("metricSelector" if kind == "external" else "selector")
        found["metric"] = {"name": source["metricName"], **({"selector": selector} if selector is not None else {})}
    if kind == "object":
        found["describedObject"] = source.get("target")
    average = source.get("averageValue" if kind == "object" else f"{word}AverageValue")
    values = {
        "averageUtilization": source.get(f"{word}AverageUtilization"),
        "averageValue": average,
        "value": source.get(f"{word}Value"),
    }
    if kind == "object" and average is not None and values["value"] == "0" and not current:
        values["value"] = None  # v1 cannot leave it out
    values = {name: value for name, value in values.items() if value is not None}
    found[word] = values if current else {"type": _target_type(values), **values}
    return {"type": metric.get("type"), kind: found}


def _target_type(values: Obj) -> str:
    if "averageUtilization" in values:
        return "Utilization"
    return "Value" if "value" in values and "averageValue" not in values else "AverageValue"
