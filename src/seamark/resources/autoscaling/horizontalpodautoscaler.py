"""autoscaling/v2 HorizontalPodAutoscaler: how many replicas something should have. Also served as autoscaling/v1."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.usage import nanos
from seamark.resources import field
from seamark.resources.access import default_pointer, ensure, entries, keep, number, section, text
from seamark.resources.autoscaling.conversion import DEFAULT_UTILIZATION, convert, cpu_metric
from seamark.resources.columns import NONE, UNKNOWN, UNSET
from seamark.resources.core.resource_names import validate_container_resource_name
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
TARGETS = ("Utilization", "Value", "AverageValue")
MAX_WINDOW, MAX_PERIOD = 3600, 1800
_SHOWN = 2
_UP: Obj = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN: Obj = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def default_autoscaler(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    ensure(spec, "scaleTargetRef")
    default_pointer(spec, "minReplicas", 1)
    if not entries(spec, "metrics"):
        spec["metrics"] = [cpu_metric(DEFAULT_UTILIZATION)]
    behavior = spec.get("behavior")
    if isinstance(behavior, dict):
        for name, rules in (("scaleUp", _UP), ("scaleDown", _DOWN)):
            given = {key: value for key, value in section(behavior, name).items() if value is not None}
            behavior[name] = {**copy_json(rules), **given}


def prepare_create(obj: Obj) -> None:
    obj["status"] = {"currentReplicas": 0, "desiredReplicas": 0}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    least, most, causes = spec.get("minReplicas"), number(spec, "maxReplicas"), Causes()
    if least is not None and least < 1:
        causes.append(field.invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most == 0:
        causes.append(field.required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        causes.append(field.invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        causes.append(field.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = section(spec, "scaleTargetRef")
    grouped = text(target, "kind") != "ReplicationController"
    causes += _validate_reference("spec.scaleTargetRef", target, grouped=grouped)
    metrics = entries(spec, "metrics")
    for i, metric in enumerate(metrics):
        causes += _validate_metric(field.index("spec.metrics", i), metric)
    if least == 0 and not any(text(one, "type") in ("Object", "External") for one in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        causes.append(field.forbidden("spec.metrics", detail))
    for name in ("scaleUp", "scaleDown"):
        rules = section(spec, "behavior").get(name)
        causes += _validate_rules(f"spec.behavior.{name}", rules) if isinstance(rules, dict) else []
    return causes


def _validate_reference(path: str, reference: Obj, *, grouped: bool) -> Causes:
    causes: Causes = []
    for name in ("kind", "name"):
        value = text(reference, name)
        if not value:
            causes.append(field.required(f"{path}.{name}"))
        causes += field.invalids(f"{path}.{name}", value, names.validate_path_segment(value))
    version = text(reference, "apiVersion")
    if version.count("/") > 1:
        causes.append(field.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    elif grouped and not version.rpartition("/")[0]:
        causes.append(field.invalid(f"{path}.apiVersion", version, "apiVersion must specify API group"))
    return causes


def _validate_metric(path: str, metric: Obj) -> Causes:
    kind, causes = text(metric, "type"), Causes()
    if not kind:
        causes.append(field.required(f"{path}.type", "must specify a metric source type"))
    if kind not in SOURCES:
        causes.append(field.not_supported(f"{path}.type", kind, SOURCES))
    present = [
        name for name in ("object", "external", "pods", "resource", "containerResource") if metric.get(name) is not None
    ]
    if present:
        causes += _validate_source(f"{path}.{present[0]}", present[0], section(metric, present[0]))
    expected = SOURCES.get(kind)
    if expected is None:
        causes.append(field.not_supported(f"{path}.type", kind, SOURCES))
    elif expected not in present:
        detail = "must populate information for the given metric source"
        causes.append(field.required(f"{path}.{expected}", detail))
    if len(present) != 1:
        detail = "must populate the given metric source only"
        causes += [field.forbidden(f"{path}.{name}", detail) for name in present if name != expected]
    return causes


def _validate_source(path: str, kind: str, source: Obj) -> Causes:
    target, causes = section(source, "target"), Causes()
    if kind == "object":
        causes += _validate_reference(f"{path}.describedObject", section(source, "describedObject"), grouped=False)
    if kind in ("object", "external", "pods"):
        name = text(source, "metric", "name")
        if not name:
            causes.append(field.required(f"{path}.metric.name", "must specify a metric name"))
        causes += field.invalids(f"{path}.metric.name", name, names.validate_path_segment(name))
    else:
        causes += _validate_resource_name(path, kind, source)
    return causes + _validate_target(f"{path}.target", target) + _validate_numbers(f"{path}.target", kind, target)


def _validate_resource_name(path: str, kind: str, source: Obj) -> Causes:
    name, container, causes = text(source, "name"), text(source, "container"), Causes()
    if not name:
        causes.append(field.required(f"{path}.name", "must specify a resource name"))
    if kind == "resource":
        return causes
    if name:
        causes += validate_container_resource_name(f"{path}.name", name)
    if not container:
        return [*causes, field.required(f"{path}.container", "must specify a container")]
    return causes + field.invalids(f"{path}.container", container, names.validate_dns1123_label(container))


def _validate_target(path: str, target: Obj) -> Causes:
    kind, causes = text(target, "type"), Causes()
    if not kind:
        causes.append(field.required(f"{path}.type", "must specify a metric target type"))
    if kind not in TARGETS:
        causes.append(field.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if target.get(name) is not None and nanos(target[name]) <= 0:
            causes.append(field.invalid(f"{path}.{name}", target[name], "must be positive"))
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        causes.append(field.invalid(f"{path}.averageUtilization", percent, "must be greater than 0"))
    return causes


_EITHER = {
    "object": ("averageValue", "must set either a target value or averageValue"),
    "external": ("averageValue", "must set either a target value for metric or a per-pod target"),
    "pods": ("averageValue", "must specify a positive target averageValue"),
    "resource": ("averageUtilization", "must set either a target raw value or a target utilization"),
    "containerResource": ("averageUtilization", "must set either a target raw value or a target utilization"),
}


def _validate_numbers(path: str, kind: str, target: Obj) -> Causes:
    """Which of the numbers a kind of metric needs, and which not together."""
    set_ = {name for name in ("value", "averageValue", "averageUtilization") if target.get(name) is not None}
    allowed = {"pods": {"averageValue"}, "object": {"value", "averageValue"}, "external": {"value", "averageValue"}}
    name, detail = _EITHER[kind]
    if not set_ & allowed.get(kind, {"averageUtilization", "averageValue"}):
        return [field.required(f"{path}.{name}", detail)]
    if kind == "external" and {"value", "averageValue"} <= set_:
        detail = "may not set both a target value for metric and a per-pod target"
        return [field.forbidden(f"{path}.value", detail)]
    if kind in ("resource", "containerResource") and {"averageUtilization", "averageValue"} <= set_:
        detail = "may not set both a target raw value and a target utilization"
        return [field.forbidden(f"{path}.averageValue", detail)]
    return []


def _validate_rules(path: str, rules: Obj) -> Causes:
    window, policy, causes = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy"), Causes()
    if window is not None and window < 0:
        detail = "must be greater than or equal to zero"
        causes.append(field.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if window is not None and window > MAX_WINDOW:
        detail = f"must be less than or equal to {MAX_WINDOW}"
        causes.append(field.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if policy is not None:
        causes += field.one_of(f"{path}.selectPolicy", policy, ("Disabled", "Max", "Min"))
    policies = entries(rules, "policies")
    if not policies:
        causes.append(field.required(f"{path}.policies", "must specify at least one Policy"))
    for i, one in enumerate(policies):
        causes += _validate_policy(f"{path}.policies[{i}]", one)
    tolerance = rules.get("tolerance")
    if tolerance is not None and nanos(tolerance) < 0:
        causes.append(field.invalid(f"{path}.tolerance", tolerance, "must be greater than or equal to 0"))
    return causes


def _validate_policy(path: str, policy: Obj) -> Causes:
    causes = field.one_of(f"{path}.type", text(policy, "type"), ("Percent", "Pods"))
    for name in ("value", "periodSeconds"):
        if number(policy, name) <= 0:
            causes.append(field.invalid(f"{path}.{name}", number(policy, name), "must be greater than zero"))
    period = number(policy, "periodSeconds")
    if period > MAX_PERIOD:
        causes.append(field.invalid(f"{path}.periodSeconds", period, f"must be less than or equal to {MAX_PERIOD}"))
    return causes


def validate_status(new: Obj, old: Obj) -> Causes:
    status = section(new, "status")
    replicas = ("currentReplicas", "desiredReplicas")
    return [cause for name in replicas for cause in field.not_negative(f"status.{name}", status.get(name))]


def targets_cell(obj: Obj, now: float) -> str:
    metrics, current = entries(obj, "spec", "metrics"), entries(obj, "status", "currentMetrics")
    if not metrics:
        return NONE
    shown = [_target_text(one, current[i] if i < len(current) else {}) for i, one in enumerate(metrics)]
    more = f" + {len(shown) - _SHOWN} more..." if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _target_text(metric: Obj, status: Obj) -> str:
    kind = SOURCES.get(text(metric, "type"))
    if kind is None:
        return "<unknown type>"
    source = section(metric, kind)
    target, current = section(source, "target"), section(status, kind, "current")
    average = target.get("averageValue")
    if kind in ("resource", "containerResource"):
        if average is not None:
            return f"{source.get('name')}: {current.get('averageValue', UNKNOWN)}/{average}"
        used, wanted = current.get("averageUtilization"), target.get("averageUtilization")
        shown = UNKNOWN if used is None else f"{used}%"
        return f"{source.get('name')}: {shown}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if average is None:
        return f"{current.get('value', UNKNOWN)}/{target.get('value')}"
    return f"{current.get('averageValue', UNKNOWN)}/{average}{'' if kind == 'pods' else ' (avg)'}"


def _least_cell(obj: Obj, now: float) -> str:
    least = section(obj, "spec").get("minReplicas")
    return UNSET if least is None else str(least)


def _reference_cell(obj: Obj, now: float) -> str:
    target = section(obj, "spec", "scaleTargetRef")
    return f"{text(target, 'kind')}/{text(target, 'name')}"


HORIZONTALPODAUTOSCALER = Resource(
    gvr=gvr.HORIZONTALPODAUTOSCALERS,
    singular="horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    columns=(
        NAME,
        Column("Reference", cell=_reference_cell),
        Column("Targets", cell=targets_cell),
        Column("MinPods", cell=_least_cell),
        Column("MaxPods", cell=lambda obj, now: number(obj, "spec", "maxReplicas")),
        Column("Replicas", cell=lambda obj, now: number(obj, "status", "currentReplicas")),
        AGE,
    ),
    subresources=("status",),
    served_as=(gvr.HORIZONTALPODAUTOSCALERS_V1,),
    convert=convert,
    default=default_autoscaler,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
)
