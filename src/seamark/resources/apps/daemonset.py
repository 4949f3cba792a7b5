"""apps/v1 DaemonSet: one pod on every fitting node."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

DAEMONSET = Resource(
    gvr=gvr.DAEMONSETS,
    singular="daemonset",
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
    has_generation=True,
)
