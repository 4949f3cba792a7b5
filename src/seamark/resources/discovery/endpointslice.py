"""discovery.k8s.io/v1 EndpointSlice: a slice of the addresses behind a Service."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

ENDPOINTSLICE = Resource(
    gvr=gvr.ENDPOINTSLICES,
    singular="endpointslice",
    has_generation=True,
)
