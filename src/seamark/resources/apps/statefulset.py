"""apps/v1 StatefulSet: pods with ordinals and lasting names."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

STATEFULSET = Resource(
    gvr=gvr.STATEFULSETS,
    singular="statefulset",
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    has_generation=True,
)
