"""core/v1 Node: a machine that runs pods."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

NODE = Resource(
    gvr=gvr.NODES,
    singular="node",
    short_names=("no",),
    subresources=("status",),
)
