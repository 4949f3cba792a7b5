"""authorization.k8s.io/v1 SelfSubjectAccessReview: may I? Posted, answered by the API, not stored."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

SELFSUBJECTACCESSREVIEW = Resource(
    gvr=gvr.SELFSUBJECTACCESSREVIEWS,
    singular="selfsubjectaccessreview",
    verbs=("create",),
    stored=False,
)
