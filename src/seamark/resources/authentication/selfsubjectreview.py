"""authentication.k8s.io/v1 SelfSubjectReview: who am I? Posted, answered, not stored."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.resources.registry import Resource

SELFSUBJECTREVIEW = Resource(
    gvr=GVR("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
    singular="selfsubjectreview",
    verbs=("create",),
    stored=False,
)
