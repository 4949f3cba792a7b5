"""apps/v1 Deployment: replicas of a template, rolled from one revision to the next."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

DEPLOYMENT = Resource(
    gvr=gvr.DEPLOYMENTS,
    singular="deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    has_generation=True,
)
