"""core/v1 Namespace: the scope of names."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

NAMESPACE = Resource(
    gvr=gvr.NAMESPACES,
    singular="namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=("finalize", "status"),
    returns_object_on_delete=True,
)
