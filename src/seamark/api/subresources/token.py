"""serviceaccounts/NAME/token (TokenRequest) and tokenreviews: making tokens, and saying whose they are."""

from __future__ import annotations

from dataclasses import replace
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
from seamark.machinery.fielderrors import quote
from seamark.machinery.status import bad_request, conflict, internal, invalid, not_found
from seamark.machinery.wire import Response

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 1 << 32
_BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


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
    _check_seconds(seconds)
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


def _check_seconds(seconds: int) -> None:
    detail = ""
    if seconds < MIN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        detail = "may not specify a duration larger than 2^32 seconds"
    if detail:
        raise invalid("TokenRequest", "", [invalid_cause("spec.expirationSeconds", seconds, detail)], group=GROUP)


async def _claims(core: Core, call: Call, account: dict[str, Any], ref: Any) -> Claims:
    """With what the token is bound to: it must exist, and a pod must run as this account."""
    claims = Claims(call.target.namespace, account["name"], account["uid"])
    if not ref:
        return claims
    api_version, kind, name = (str(ref.get(field) or "") for field in ("apiVersion", "kind", "name"))
    if "/" in api_version or kind not in _BINDABLE:
        group = api_version if "/" in api_version else f"/{api_version}"
        raise bad_request(f"cannot bind token to object of type {group}, Kind={kind}")
    if not name:
        raise bad_request("Name parameter required.")
    found = await _find(core, claims.namespace, kind, name)
    if found is None:
        raise not_found(_BINDABLE[kind], name)
    if ref.get("uid") and ref["uid"] != found["metadata"]["uid"]:
        why = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record"
        raise conflict(kind, name, why=f"{why}. The object might have been deleted and then recreated")
    bound = {kind.lower(): name, f"{kind.lower()}_uid": found["metadata"]["uid"]}
    if kind == "Pod":
        bound |= await _node_of(core, claims, found)
    return replace(claims, **bound)


async def _node_of(core: Core, claims: Claims, pod: Obj) -> dict[str, str]:
    spec = pod.get("spec") or {}
    if (spec.get("serviceAccountName") or "default") != claims.service_account:
        own = quote(claims.service_account)
        raise bad_request(
            f"cannot bind token for serviceaccount {own} to pod running with different serviceaccount name."
        )
    node = str(spec.get("nodeName") or "")
    found = await _find(core, "", "Node", node) if node else None
    return {"node": node, "node_uid": found["metadata"]["uid"] if found else ""}


async def _find(core: Core, namespace: str, kind: str, name: str) -> Obj | None:
    row = core.registry.by_kind("", kind)
    entry = await core.store.get(key=row.key(namespace, name)) if row else None
    return unpack_entry(entry) if entry is not None else None


async def review_token(core: Core, call: Call) -> Response:
    body = decode_object(call)
    spec = body.get("spec") or {}
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    body["status"] = await _review(core, str(spec["token"]), spec.get("audiences") or [])
    return respond_object(core, call, body, status=201)


async def _review(core: Core, token: str, audiences: list[str]) -> Obj:
    try:
        verified = await identify_token(core, token, audiences=audiences)
    except TokenError as error:
        why = f"[invalid bearer token, {error}]" if error.may_be_told else "invalid bearer token"
        return {"user": {}, "error": why}
    user = render_user(verified.identity)
    return {"authenticated": True, "user": user, "audiences": list(verified.audiences)}
