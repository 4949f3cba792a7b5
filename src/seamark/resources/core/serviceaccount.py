"""core/v1 ServiceAccount: the identity a pod acts under. Tokens come from its ``token`` subresource, not a Secret."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

SERVICEACCOUNT = Resource(
    gvr=gvr.SERVICEACCOUNTS,
    singular="serviceaccount",
    short_names=("sa",),
    subresources=("token",),
    returns_object_on_delete=True,
)
