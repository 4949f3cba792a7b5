"""core/v1 Service: a name and a virtual address before a set of pods."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

SERVICE = Resource(
    gvr=gvr.SERVICES,
    singular="service",
    short_names=("svc",),
    categories=("all",),
    subresources=("status",),
    returns_object_on_delete=True,
    allows_create_on_update=True,
)
