"""authorization.k8s.io/v1 LocalSubjectAccessReview: may somebody do something in this namespace? Answered at once."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.resources.registry import Resource

LOCALSUBJECTACCESSREVIEW = Resource(
    gvr=GVR("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"),
    singular="localsubjectaccessreview",
    verbs=("create",),
    stored=False,
)
