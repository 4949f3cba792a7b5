"""core/v1 Pod: containers that run together on one node."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

POD = Resource(
    gvr=gvr.PODS,
    singular="pod",
    short_names=("po",),
    categories=("all",),
    subresources=("attach", "binding", "eviction", "exec", "log", "status"),
    has_generation=True,
    returns_object_on_delete=True,
)
