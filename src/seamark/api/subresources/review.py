"""Questions about who somebody is and what they may do: the reviews of authentication and authorization.k8s.io.

Each is posted, answered in its status and not stored. What is answered is what would be decided: they ask the same
authoriser as every request.
"""

from __future__ import annotations

from typing import Any

from seamark.api.body import decode_object
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj
from seamark.api.respond import respond_object
from seamark.machinery.authorize import Attributes
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.status import Cause, bad_request, invalid
from seamark.machinery.wire import Identity, Response
from seamark.resources.access import entries, section, text

_NODE = "system:node:"


def render_user(identity: Identity) -> dict[str, Any]:
    """authentication.k8s.io UserInfo."""
    user: dict[str, Any] = {"username": identity.user, "groups": list(identity.groups)}
    if identity.uid:
        user["uid"] = identity.uid
    if identity.extra:
        user["extra"] = {key: list(values) for key, values in identity.extra.items()}
    return user


def _respond(core: Core, call: Call, body: Obj) -> Response:
    return respond_object(core, call, body, status=201)


async def review_self(core: Core, call: Call) -> Response:
    """SelfSubjectReview: who am I?"""
    body = decode_object(call)
    body["status"] = {"userInfo": render_user(call.identity)}
    return _respond(core, call, body)


async def review_own_access(core: Core, call: Call) -> Response:
    """SelfSubjectAccessReview: may I?"""
    body = decode_object(call)
    spec = section(body, "spec")
    _refuse(call, [*_check_metadata(body), *_check_attributes(spec)])
    body["status"] = await _decide(core, call.identity, spec)
    return _respond(core, call, body)


async def review_access(core: Core, call: Call) -> Response:
    """SubjectAccessReview and LocalSubjectAccessReview: may somebody?"""
    body = decode_object(call)
    if call.target.gvr.namespaced:
        check_place(call, body)
    spec = section(body, "spec")
    causes = [*_check_metadata(body), *_check_attributes(spec), *_check_subject(spec)]
    if call.target.gvr.namespaced:
        causes += _check_local(spec, call.target.namespace)
    _refuse(call, causes)
    extra = {key: tuple(values or ()) for key, values in section(spec, "extra").items()}
    who = Identity(text(spec, "user"), tuple(entries(spec, "groups")), text(spec, "uid"), extra)
    body["status"] = await _decide(core, who, spec)
    return _respond(core, call, body)


async def review_own_rules(core: Core, call: Call) -> Response:
    """SelfSubjectRulesReview: what may I do in a namespace? Nodes' rights cannot be listed whole."""
    body = decode_object(call)
    namespace = text(body, "spec", "namespace")
    if not namespace:
        raise bad_request("no namespace on request")
    who = call.identity
    rules = [rule.as_dict() for rule in (await core.authorizer.rules()).rules_for(who.user, who.groups, namespace)]
    is_node = who.user.startswith(_NODE)
    body["status"] = {
        "resourceRules": [rule for rule in rules if "resources" in rule],
        "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
        "incomplete": is_node,
    }
    if is_node:
        body["status"]["evaluationError"] = "node authorizer does not support user rule resolution"
    return _respond(core, call, body)


async def _decide(core: Core, who: Identity, spec: Obj) -> Obj:
    decision = await core.authorizer.decide(who, _attributes(spec))
    return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}


def _attributes(spec: Obj) -> Attributes:
    if spec.get("nonResourceAttributes") is not None:
        asked = section(spec, "nonResourceAttributes")
        return Attributes(text(asked, "verb"), path=text(asked, "path"))
    asked = section(spec, "resourceAttributes")
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    found = Attributes(*(text(asked, name) for name in names))
    return found._replace(field_selector=_selector(section(asked, "fieldSelector")))


def _selector(selector: Obj) -> str:
    """As the text of a fieldSelector; requirements other than one equal value say nothing, which is the safe side."""
    terms = [
        f"{one.get('key')}={one['values'][0]}"
        for one in entries(selector, "requirements")
        if one.get("operator") == "In" and len(one.get("values") or ()) == 1
    ]
    return text(selector, "rawSelector") or ",".join(terms)


def _refuse(call: Call, causes: list[Cause]) -> None:
    if causes:
        raise invalid(call.target.gvr.kind, "", causes, group=call.target.gvr.group)


def _check_metadata(body: Obj) -> list[Cause]:
    given = {k: v for k, v in body["metadata"].items() if v and k not in ("managedFields", "namespace")}
    return [invalid_cause("metadata", given, "must be empty")] if given else []


def _check_attributes(spec: Obj) -> list[Cause]:
    both = ("resourceAttributes", "nonResourceAttributes")
    given = [name for name in both if spec.get(name) is not None]
    if len(given) == 2:
        detail = "cannot be specified in combination with resourceAttributes"
        return [invalid_cause("spec.nonResourceAttributes", spec["nonResourceAttributes"], detail)]
    if not given:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid_cause("spec.resourceAttributes", None, detail)]
    return []


def _check_subject(spec: Obj) -> list[Cause]:
    if text(spec, "user") or entries(spec, "groups"):
        return []
    return [invalid_cause("spec.user", "", "at least one of user or group must be specified")]


def _check_local(spec: Obj, namespace: str) -> list[Cause]:
    if spec.get("nonResourceAttributes") is not None:
        detail = "disallowed on this kind of request"
        return [invalid_cause("spec.nonResourceAttributes", spec["nonResourceAttributes"], detail)]
    given = text(spec, "resourceAttributes", "namespace")
    if given == namespace:
        return []
    return [invalid_cause("spec.resourceAttributes.namespace", given, "must match metadata.namespace")]
