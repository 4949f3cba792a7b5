"""core/v1 Event: what happened to an object; also served as events.k8s.io/v1, in that group's newer shape.

Stored in the core/v1 shape; ``convert`` goes both ways, and what either shape has no field for keeps its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seamark.machinery import gvr, names
from seamark.machinery.gvr import GVR
from seamark.resources import field
from seamark.resources.access import ensure, section, text
from seamark.resources.columns import name_cell, since
from seamark.resources.registry import Causes, Column, Obj, Resource

NOTE_LIMIT, TEXT_LIMIT = 1024, 128
TO_CORE = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
FROM_CORE = {core: name for name, core in TO_CORE.items()}


def convert(event: Obj, to: GVR) -> Obj:
    """The event in the shape of ``to``; one that has it already is given back as it is."""
    if event.get("apiVersion") == to.api_version:
        return event
    renamed = FROM_CORE if to.group else TO_CORE
    return {renamed.get(name, name): value for name, value in event.items()} | {"apiVersion": to.api_version}


def default_event(event: Obj) -> None:
    """Go writes these three always, so clients that read them without asking find them."""
    ensure(event, "involvedObject")
    ensure(event, "source")
    for name in ("reportingComponent", "reportingInstance"):
        if event.get(name) is None:
            event[name] = ""


def validate(event: Obj) -> Causes:
    namespace, involved = text(event, "metadata", "namespace"), text(event, "involvedObject", "namespace")
    mismatch = field.invalid("involvedObject.namespace", involved, "does not match event.namespace")
    if not event.get("eventTime"):
        expected = (namespace,) if involved else ("", "default")
        return [] if (involved or namespace) in expected else [mismatch]
    causes: Causes = []
    if not involved and namespace not in ("default", "kube-system"):
        causes.append(mismatch)
    controller = text(event, "reportingComponent")
    if not controller:
        causes.append(field.required("reportingComponent"))
    causes += field.invalids("reportingComponent", controller, names.validate_qualified_name(controller))
    for name in ("reportingInstance", "action", "reason"):
        if not text(event, name):
            causes.append(field.required(name))
        elif len(text(event, name)) > TEXT_LIMIT:
            causes.append(field.invalid(name, "", f"can have at most {TEXT_LIMIT} characters"))
    if len(text(event, "message")) > NOTE_LIMIT:
        causes.append(field.invalid("message", "", f"can have at most {NOTE_LIMIT} characters"))
    return causes


def _of_core(cell: Callable[[Obj, float], Any]) -> Callable[[Obj, float], Any]:
    """A table asked for under events.k8s.io is made of events in that shape; the cells read the stored one."""
    return lambda event, now: cell(convert(event, gvr.EVENTS_V1), now)


def first_seen_cell(event: Obj, now: float) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


def last_seen_cell(event: Obj, now: float) -> str:
    series = section(event, "series")
    if series:
        return since(series.get("lastObservedTime"), now)
    return since(event.get("lastTimestamp"), now) if event.get("lastTimestamp") else first_seen_cell(event, now)


def object_cell(event: Obj, now: float) -> str:
    kind, name = text(event, "involvedObject", "kind").lower(), text(event, "involvedObject", "name")
    return f"{kind}/{name}" if name else kind


def source_cell(event: Obj, now: float) -> str:
    component = text(event, "source", "component") or text(event, "reportingComponent")
    instance = text(event, "source", "host") or text(event, "reportingInstance")
    return f"{component}, {instance}" if instance else component


def count_cell(event: Obj, now: float) -> int:
    return section(event, "series").get("count") or event.get("count") or 1


def _involved(name: str) -> Callable[[Obj], str]:
    return lambda event: text(event, "involvedObject", name)


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def reporter(event: Obj) -> str:
    return text(event, "reportingComponent")


EVENT = Resource(
    gvr=gvr.EVENTS_V1,
    singular="event",
    short_names=("ev",),
    columns=(
        Column("Last Seen", cell=_of_core(last_seen_cell)),
        Column("Type", cell=lambda obj, now: text(obj, "type")),
        Column("Reason", cell=lambda obj, now: text(obj, "reason")),
        Column("Object", cell=_of_core(object_cell)),
        Column("Subobject", priority=1, cell=_of_core(lambda event, now: text(event, "involvedObject", "fieldPath"))),
        Column("Source", priority=1, cell=_of_core(source_cell)),
        Column("Message", cell=_of_core(lambda event, now: text(event, "message").strip())),
        Column("First Seen", priority=1, cell=_of_core(first_seen_cell)),
        Column("Count", priority=1, cell=_of_core(count_cell)),
        Column("Name", format="name", priority=1, cell=name_cell),
    ),
    allows_create_on_update=True,
    served_as=(gvr.EVENTS,),
    convert=convert,
    field_selectors={
        **{f"involvedObject.{name}": _involved(name) for name in _INVOLVED},
        **{f"regarding.{name}": _involved(name) for name in _INVOLVED},  # so named in events.k8s.io
        "reason": lambda event: text(event, "reason"),
        "type": lambda event: text(event, "type"),
        "source": lambda event: text(event, "source", "component") or reporter(event),
        "reportingComponent": reporter,
        "reportingController": reporter,
    },
    default=default_event,
    validate=validate,
)
