"""apps/v1 ControllerRevision: an immutable snapshot of a controller's template."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

CONTROLLERREVISION = Resource(
    gvr=gvr.CONTROLLERREVISIONS,
    singular="controllerrevision",
)
