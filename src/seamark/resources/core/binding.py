"""core/v1 Binding: a pod's node, posted by the scheduler; answered by the API, nothing is stored under this name."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

BINDING = Resource(
    gvr=gvr.BINDINGS,
    singular="binding",
    verbs=("create",),
    stored=False,
)
