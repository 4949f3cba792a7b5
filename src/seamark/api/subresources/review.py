"""SelfSubjectReview (who am I?) and SelfSubjectAccessReview (may I?): answered for the identity that asks.

Whoever is authenticated may do everything: roles come with a later issue, and the answer says so.
"""

from __future__ import annotations

from typing import Any

from seamark.api.body import decode_object
from seamark.api.core import Call, Core
from seamark.api.respond import respond_object
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.status import invalid
from seamark.machinery.wire import Identity, Response


def render_user(identity: Identity) -> dict[str, Any]:
    """authentication.k8s.io UserInfo."""
    user: dict[str, Any] = {"username": identity.user, "groups": list(identity.groups)}
    if identity.uid:
        user["uid"] = identity.uid
    if identity.extra:
        user["extra"] = {key: list(values) for key, values in identity.extra.items()}
    return user


async def review_self(core: Core, call: Call) -> Response:
    body, warnings = decode_object(call)
    body["status"] = {"userInfo": render_user(call.identity)}
    response = respond_object(core, call, body, status=201)
    response.warnings = warnings
    return response


async def review_access(core: Core, call: Call) -> Response:
    body, warnings = decode_object(call)
    spec = body.get("spec") or {}
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = invalid_cause("spec.resourceAttributes", spec.get("resourceAttributes"), detail)
        raise invalid("SelfSubjectAccessReview", "", [cause], group="authorization.k8s.io")
    body["status"] = {"allowed": True, "reason": "every authenticated user may do everything (no roles yet)"}
    response = respond_object(core, call, body, status=201)
    response.warnings = warnings
    return response
