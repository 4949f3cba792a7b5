"""core/v1 PersistentVolumeClaim: a request for storage; stored, bound by nobody here."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

PERSISTENTVOLUMECLAIM = Resource(
    gvr=gvr.PERSISTENTVOLUMECLAIMS,
    singular="persistentvolumeclaim",
    short_names=("pvc",),
    subresources=("status",),
    returns_object_on_delete=True,
)
