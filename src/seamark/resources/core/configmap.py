"""core/v1 ConfigMap: plain text and bytes by key."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

CONFIGMAP = Resource(
    gvr=gvr.CONFIGMAPS,
    singular="configmap",
    short_names=("cm",),
)
