"""Audit events as dicts: what is known of a request when it comes, and what its answer adds. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import yaml

from seamark.api.audit.policy import API_VERSION, Verdict
from seamark.api.negotiation import JSON, PROTOBUF, YAML
from seamark.api.yamltext import decode_yaml
from seamark.machinery import protobuf
from seamark.machinery.authorize import Attributes
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response

Obj = dict[str, Any]


def render_user(identity: Identity | None) -> Obj:
    if identity is None:
        return {}
    shown: Obj = {"username": identity.user, "uid": identity.uid, "groups": list(identity.groups)}
    shown["extra"] = {key: list(values) for key, values in identity.extra.items()}
    return {key: value for key, value in shown.items() if value}


def begin_event(request: Request, asked: Attributes, verdict: Verdict, *, audit_id: str, user: Obj) -> Obj:
    query = request.raw_query or urlencode(request.query)
    event: Obj = {
        "kind": "Event",
        "apiVersion": API_VERSION,
        "level": verdict.level,
        "auditID": audit_id,
        "stage": "",
        "requestURI": f"{request.path}?{query}" if query else request.path,
        "verb": asked.verb,
        "user": user,
    }
    if request.source:
        event["sourceIPs"] = [request.source]
    if agent := request.headers.get("user-agent"):
        event["userAgent"] = agent
    if asked.resource:
        event["objectRef"] = _refer(request, asked)
    return event


def _refer(request: Request, asked: Attributes) -> Obj:
    parts = request.path.split("/")
    version = parts[2] if parts[1] == "api" else parts[3]
    found = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": version,
        "subresource": asked.subresource,
    }
    return {key: value for key, value in found.items() if value}


def add_request(event: Obj, request: Request, verdict: Verdict) -> None:
    """The object that was sent, and what it says of the object meant."""
    sent = decode(request.headers.get("content-type", ""), request.body) if request.body else None
    if not isinstance(sent, dict):
        return
    meta = sent.get("metadata")
    if "objectRef" in event and isinstance(meta, dict):
        told = {key: meta[key] for key in ("name", "uid", "resourceVersion") if meta.get(key)}
        event["objectRef"] = {**told, **event["objectRef"]}
    if verdict.level in ("Request", "RequestResponse"):
        event["requestObject"] = _shown(sent, verdict)


def add_response(event: Obj, response: Response, verdict: Verdict) -> None:
    answered = decode(response.headers.get("content-type", ""), response.body) if response.body else None
    status: Obj = {"metadata": {}}
    if isinstance(answered, dict) and answered.get("kind") == "Status":
        status = {key: value for key, value in answered.items() if key not in ("kind", "apiVersion")}
    elif "objectRef" in event and isinstance(answered, dict) and event["verb"] == "create":
        name = (answered.get("metadata") or {}).get("name")
        event["objectRef"] = {**event["objectRef"], **({"name": name} if name else {})}
    event["responseStatus"] = {**status, "code": response.status}
    if verdict.level == "RequestResponse" and isinstance(answered, dict):
        event["responseObject"] = _shown(answered, verdict)


def _shown(obj: Obj, verdict: Verdict) -> Obj:
    if not verdict.omit_managed_fields:
        return obj
    items = obj.get("items")
    if isinstance(items, list):
        return {**obj, "items": [_shown(item, verdict) if isinstance(item, dict) else item for item in items]}
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def decode(content_type: str, body: bytes) -> Any:
    """The values of a body; None for what is no object in a representation of ours."""
    media_type = content_type.split(";", 1)[0].strip().lower() or JSON
    try:
        if media_type == PROTOBUF:
            return protobuf.decode_body(body)
        if media_type == YAML or media_type.endswith("+yaml"):
            return decode_yaml(body)
        return msgspec.json.decode(body) if media_type == JSON or media_type.endswith("+json") else None
    except (msgspec.DecodeError, yaml.YAMLError, StatusError, UnicodeDecodeError, RecursionError):
        return None
