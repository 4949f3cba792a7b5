"""core/v1 Event: what happened to an object; served in the core/v1 and the events.k8s.io/v1 shape."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

EVENT = Resource(
    gvr=gvr.EVENTS_V1,
    singular="event",
    short_names=("ev",),
    allows_create_on_update=True,
    served_as=(gvr.EVENTS,),
)
