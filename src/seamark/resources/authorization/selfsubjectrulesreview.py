"""authorization.k8s.io/v1 SelfSubjectRulesReview: what may I do in a namespace? Answered, not stored."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.resources.registry import Resource

SELFSUBJECTRULESREVIEW = Resource(
    gvr=GVR("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False),
    singular="selfsubjectrulesreview",
    verbs=("create",),
    stored=False,
)
