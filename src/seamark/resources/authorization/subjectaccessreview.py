"""authorization.k8s.io/v1 SubjectAccessReview: may somebody do something? Posted, answered by the API, not stored."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.resources.registry import Resource

SUBJECTACCESSREVIEW = Resource(
    gvr=GVR("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False),
    singular="subjectaccessreview",
    verbs=("create",),
    stored=False,
)
