"""apps/v1 ReplicaSet: a number of pods of one template."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

REPLICASET = Resource(
    gvr=gvr.REPLICASETS,
    singular="replicaset",
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    has_generation=True,
)
