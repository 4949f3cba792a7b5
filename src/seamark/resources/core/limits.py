"""What a LimitRange does to a new pod or claim: fills in defaults, then says what is out of bounds.

The words are those of Kubernetes' admission plugin LimitRanger.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seamark.machinery.usage import nanos, pod_totals, qos_class_of
from seamark.resources.access import ensure, entries, section, text
from seamark.resources.registry import Obj

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = dict[str, Any]


def apply_defaults(pod: Obj, limitrange: Obj) -> None:
    items = [item for item in entries(limitrange, "spec", "limits") if text(item, "type") == "Container"]
    limits = {k: v for item in items for k, v in section(item, "default").items()}
    requests = {k: v for item in items for k, v in section(item, "defaultRequest").items()}
    told: list[str] = []
    for kind, called in (("containers", "container"), ("initContainers", "init container")):
        for container in entries(pod, "spec", kind):
            asked = ensure(container, "resources")
            for side, word, given in (("requests", "request", requests), ("limits", "limit", limits)):
                fresh = sorted(given.keys() - section(asked, side).keys())
                if fresh:
                    asked[side] = {**section(asked, side), **{name: given[name] for name in fresh}}
                    told.append(f"{', '.join(fresh)} {word} for {called} {container.get('name')}")
    if told:
        note = f"LimitRanger plugin set: {'; '.join(told)}"
        ensure(ensure(pod, "metadata"), "annotations")[ANNOTATION] = note
        ensure(pod, "status")["qosClass"] = qos_class_of(section(pod, "spec"))


def find_violations(kind: str, obj: Obj, limitrange: Obj) -> list[str]:
    """``kind`` is Pod or PersistentVolumeClaim."""
    found: list[str] = []
    for item in entries(limitrange, "spec", "limits"):
        called = text(item, "type")
        if kind == "PersistentVolumeClaim" and called == kind:
            asked = section(obj, "spec", "resources", "requests")
            found += _below_min(called, item, asked, {})
            found += _above_max_request(called, item, asked)
        elif kind == "Pod" and called in ("Container", "Pod"):
            for requests, limits in _asked(obj) if called == "Container" else (pod_totals(obj),):
                found += _below_min(called, item, requests, limits)
                found += _above_max(called, item, requests, limits)
                found += _above_ratio(called, item, requests, limits)
    return found


def _asked(pod: Obj) -> Iterator[tuple[Amounts, Amounts]]:
    for kind in ("containers", "initContainers"):
        for container in entries(pod, "spec", kind):
            yield section(container, "resources", "requests"), section(container, "resources", "limits")


def _below_min(called: str, item: Obj, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted(section(item, "min").items()):
        words = f"minimum {name} usage per {called} is {least}"
        if name not in requests:
            yield f"{words}.  No request is specified"
        elif nanos(requests[name]) < nanos(least):
            yield f"{words}, but request is {requests[name]}"
        elif name in limits and nanos(limits[name]) < nanos(least):
            yield f"{words}, but limit is {limits[name]}"


def _above_max(called: str, item: Obj, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, most in sorted(section(item, "max").items()):
        words = f"maximum {name} usage per {called} is {most}"
        if name not in limits:
            yield f"{words}.  No limit is specified"
        elif nanos(limits[name]) > nanos(most):
            yield f"{words}, but limit is {limits[name]}"
        elif name in requests and nanos(requests[name]) > nanos(most):
            yield f"{words}, but request is {requests[name]}"


def _above_max_request(called: str, item: Obj, requests: Amounts) -> Iterator[str]:
    for name, most in sorted(section(item, "max").items()):
        words = f"maximum {name} usage per {called} is {most}"
        if name not in requests:
            yield f"{words}.  No request is specified"
        elif nanos(requests[name]) > nanos(most):
            yield f"{words}, but request is {requests[name]}"


def _above_ratio(called: str, item: Obj, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, most in sorted(section(item, "maxLimitRequestRatio").items()):
        words = f"{name} max limit to request ratio per {called} is {most}"
        asked, limit = nanos(requests.get(name, 0)), nanos(limits.get(name, 0))
        if not asked:
            yield f"{words}, but no request is specified or request is 0"
        elif not limit:
            yield f"{words}, but no limit is specified or limit is 0"
        elif limit * nanos(1) > nanos(most) * asked:
            yield f"{words}, but provided ratio is {limit / asked:f}"
