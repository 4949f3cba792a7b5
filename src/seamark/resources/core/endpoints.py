"""core/v1 Endpoints: the older list of a Service's addresses, deprecated for EndpointSlice."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

ENDPOINTS = Resource(
    gvr=gvr.ENDPOINTS,
    singular="endpoints",
    short_names=("ep",),
    allows_create_on_update=True,
    deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
