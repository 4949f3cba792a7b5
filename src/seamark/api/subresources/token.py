"""serviceaccounts/NAME/token (TokenRequest) and tokenreviews: making tokens, and saying whose they are."""

from __future__ import annotations

from typing import Any

from seamark.api.authn import identify_token
from seamark.api.authz.noderestriction import check_node_token
from seamark.api.body import decode_as, decode_object
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj, unpack_entry
from seamark.api.respond import respond_object
from seamark.api.subresources.review import render_user
from seamark.api.tokens import Claims, TokenError, issue_token
from seamark.api.writes import missing
from seamark.machinery.clock import format_time
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.fielderrors import not_supported, required
from seamark.machinery.status import StatusError, bad_request, conflict, internal, invalid, not_found
from seamark.machinery.wire import Response

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 1 << 32


async def request_token(core: Core, call: Call) -> Response:
    """Answers the TokenRequest with its status; nothing is stored."""
    body = decode_as(call, f"{GROUP}/v1", "TokenRequest")
    check_place(call, body)
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    account = unpack_entry(entry)["metadata"]
    spec = body.setdefault("spec", {}) or {}
    seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
    _check_seconds(call.target.name, seconds)
    audiences = spec.get("audiences") or list(core.config.audiences)
    spec["audiences"] = audiences
    claims = await _claims(core, call, account, spec.get("boundObjectRef"))
    check_node_token(call, claims.pod, claims.node)
    now = core.clock.time()
    try:
        token = issue_token(
            claims,
            key=core.config.service_account_key,
            issuer=core.config.issuer,
            audiences=audiences,
            issued=now,
            expires=now + seconds,
        )
    except TokenError as error:
        raise internal(str(error)) from error
    meta = {"name": account["name"], "namespace": account["namespace"], "creationTimestamp": format_time(now)}
    status = {"token": token, "expirationTimestamp": format_time(now + seconds)}
    answer = {**body, "metadata": meta, "spec": spec, "status": status}
    return respond_object(core, call, answer, status=201)


def _check_seconds(name: str, seconds: Any) -> None:
    detail = ""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        detail = "must be a whole number of seconds"
    elif seconds < MIN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        detail = "may not specify a duration larger than 2^32 seconds"
    if detail:
        raise invalid("TokenRequest", name, [invalid_cause("spec.expirationSeconds", seconds, detail)], group=GROUP)


async def _claims(core: Core, call: Call, account: dict[str, Any], ref: Any) -> Claims:
    """With the pod a token is bound to, which must exist and run as this account."""
    namespace, name, uid = call.target.namespace, account["name"], account["uid"]
    if not ref:
        return Claims(namespace, name, uid)
    if ref.get("kind") != "Pod":
        cause = not_supported("spec.boundObjectRef.kind", ref.get("kind", ""), ["Pod"])
        raise invalid("TokenRequest", name, [cause], group=GROUP)
    if not ref.get("name"):
        raise invalid("TokenRequest", name, [required("spec.boundObjectRef.name")], group=GROUP)
    row = core.registry.by_kind("", "Pod")
    entry = await core.store.get(key=row.key(namespace, ref["name"])) if row else None
    if entry is None:
        raise not_found("pods", ref["name"])
    pod = unpack_entry(entry)
    spec, meta = pod.get("spec") or {}, pod["metadata"]
    if ref.get("uid") and ref["uid"] != meta["uid"]:
        why = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record ({meta['uid']})"
        raise conflict("pods", ref["name"], why=f"{why}. The object might have been deleted and then recreated")
    if (spec.get("serviceAccountName") or "default") != name:
        detail = f"cannot bind token for serviceaccount {name!r} to pod running with different serviceaccount name"
        cause = invalid_cause("spec.boundObjectRef.name", ref["name"], detail)
        raise invalid("TokenRequest", name, [cause], group=GROUP)
    return Claims(namespace, name, uid, ref["name"], meta["uid"], spec.get("nodeName") or "")


async def review_token(core: Core, call: Call) -> Response:
    body = decode_object(call)
    spec = body.get("spec") or {}
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    body["status"] = await _review(core, str(spec["token"]), spec.get("audiences") or [])
    return respond_object(core, call, body, status=201)


async def _review(core: Core, token: str, audiences: list[str]) -> Obj:
    try:
        identity = await identify_token(core, token, audiences=audiences)
    except StatusError as error:
        return {"authenticated": False, "error": f"invalid bearer token: {error.message}"}
    return {
        "authenticated": True,
        "user": render_user(identity),
        "audiences": audiences or list(core.config.audiences),
    }
