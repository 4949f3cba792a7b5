"""What Deployments, ReplicaSets, StatefulSets and DaemonSets share: selector against template, strategies, counters.

``selector`` and ``template`` are checked in the order of pkg/apis/apps/validation; the four differ in a few words,
which come in as arguments.
"""

from __future__ import annotations

import re
from typing import Any

from seamark.machinery.names import validate_dns1123_label
from seamark.machinery.selectors import SelectorError, selector_from
from seamark.resources import field
from seamark.resources.access import default, ensure, entries, section, text
from seamark.resources.core.podspec_defaults import default_pod_spec
from seamark.resources.core.podspec_validation import validate_pod_template
from seamark.resources.core.podspec_warnings import spec_warnings
from seamark.resources.metadata import validate_label_selector
from seamark.resources.registry import Causes, Obj

HISTORY_LIMIT = 10
_PERCENT = re.compile("[0-9]+%")
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
MISMATCH = "`selector` does not match template `labels`"


def default_workload(obj: Obj, *, replicas: bool) -> Obj:
    """The spec, with what all four share filled in."""
    spec = ensure(obj, "spec")
    if replicas:
        default(spec, "replicas", 1)
    template = ensure(spec, "template")
    ensure(template, "metadata")
    default_pod_spec(ensure(template, "spec"))
    ensure(obj, "status")
    return spec


def validate_selector(spec: Obj, *, kind: str) -> Causes:
    """``kind`` as the message says it: Kubernetes says deployment for ReplicaSets too."""
    selector = spec.get("selector")
    if selector is None:
        return [field.required("spec.selector")]
    causes = validate_label_selector("spec.selector", selector)
    if not section(selector, "matchLabels") and not entries(selector, "matchExpressions"):
        detail = f"empty selector is invalid for {kind}"
        causes.append(field.invalid_struct("spec.selector", _in_order(selector), detail))
    return causes


def _in_order(selector: Obj) -> Obj:
    """A selector as Go's encoder writes it: fields in their order, empty ones left out."""
    shown: Obj = {}
    if section(selector, "matchLabels"):
        shown["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if entries(selector, "matchExpressions"):
        shown["matchExpressions"] = [
            {"key": text(e, "key"), "operator": text(e, "operator")}
            | ({"values": e["values"]} if entries(e, "values") else {})
            for e in selector["matchExpressions"]
        ]
    return shown


def validate_template(spec: Obj, *, kind: str) -> Causes:
    """An absent selector selects nothing, so it does not match either."""
    template, selector = section(spec, "template"), spec.get("selector")
    labels = section(template, "metadata").get("labels")
    causes: Causes = []
    try:
        if not selector_from(selector).matches(labels):
            causes.append(field.invalid("spec.template.metadata.labels", labels, MISMATCH))
    except SelectorError:
        detail = "" if kind == "StatefulSet" else "invalid label selector"
        if kind != "DaemonSet":  # which says no more than validate_selector did
            causes.append(field.invalid_struct("spec.selector", _in_order(selector or {}), detail))
            return causes
    causes += validate_pod_template("spec.template", template)
    pod = section(template, "spec")
    if pod.get("restartPolicy") != "Always":
        policy = pod.get("restartPolicy", "")
        causes.append(field.not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        causes.append(field.forbidden("spec.template.spec.activeDeadlineSeconds", detail))
    return causes


def validate_counts(spec: Obj, *fields: str) -> Causes:
    causes: Causes = []
    for name in fields:
        causes += field.not_negative(f"spec.{name}", spec.get(name))
    return causes


def selector_is_immutable(new: Obj, old: Obj) -> Causes:
    now, then = _in_order(section(new, "spec", "selector")), _in_order(section(old, "spec", "selector"))
    return [] if now == then else [field.invalid_struct("spec.selector", now, field.IMMUTABLE)]


def strategy_struct(strategy: Obj, *fields: str) -> Obj:
    """A strategy as Go's internal type shows it; ``fields`` are those of its rolling update."""
    rolling = strategy.get("rollingUpdate")
    shown = {name[0].upper() + name[1:]: rolling.get(name) for name in fields} if isinstance(rolling, dict) else None
    return {"Type": text(strategy, "type"), "RollingUpdate": shown}


def validate_int_or_percent(path: str, value: Any) -> Causes:
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [field.invalid(path, value, _PERCENT_RULE)]
    return field.not_negative(path, value)


def amount(value: Any) -> int:
    """The number in ``3`` or ``25%``; 0 for what is neither."""
    digits = str(value).removesuffix("%")
    return int(digits) if digits.isdecimal() else 0


def validate_at_most_all(path: str, value: Any) -> Causes:
    if isinstance(value, str) and _PERCENT.fullmatch(value) and amount(value) > 100:
        return [field.invalid(path, value, "must not be greater than 100%")]
    return []


def validate_status_counts(new: Obj, old: Obj) -> Causes:
    """No counter below zero, none above ``replicas``; available pods are ready ones; collisions never go back."""
    status = section(new, "status")
    causes: Causes = []
    counters = [name for name, value in status.items() if isinstance(value, int) and not isinstance(value, bool)]
    for name in counters:
        causes += field.not_negative(f"status.{name}", status[name])
    total = status.get("replicas") or 0
    for name in ("fullyLabeledReplicas", "updatedReplicas", "currentReplicas", "readyReplicas", "availableReplicas"):
        if name in counters and status[name] > total:
            causes.append(field.invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    ready, available = status.get("readyReplicas") or 0, status.get("availableReplicas") or 0
    if available > ready:
        of_set = text(new, "kind") == "StatefulSet"  # Kubernetes says the same in two ways
        detail = f"cannot be greater than {'status.' if of_set else ''}readyReplicas"
        causes.append(field.invalid("status.availableReplicas", available, detail))
    collisions = status.get("collisionCount") or 0
    if collisions < (section(old, "status").get("collisionCount") or 0):
        causes.append(field.invalid("status.collisionCount", collisions, "cannot be decremented"))
    return causes


def template_warnings(obj: Obj) -> list[str]:
    return spec_warnings("spec.template.spec", section(obj, "spec", "template", "spec"))


def workload_warnings(obj: Obj) -> list[str]:
    """Of the template, and of a name that becomes part of the pods' names and hostnames."""
    wrong = validate_dns1123_label(str(section(obj, "metadata").get("name", "")))
    said = []
    if wrong:
        said.append(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(wrong)}]"
        )
    return said + template_warnings(obj)
