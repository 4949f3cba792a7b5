"""authentication.k8s.io/v1 TokenReview: whose token is this? Posted, answered, not stored."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.resources.registry import Resource

TOKENREVIEW = Resource(
    gvr=GVR("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False),
    singular="tokenreview",
    verbs=("create",),
    stored=False,
)
