"""Request bodies: bytes of JSON, YAML or protobuf to an object in the shape of its kind.

``fieldValidation`` decides about unknown and duplicate fields: Warn (the default) answers them as warnings, Strict
refuses, Ignore is silent. Values of a wrong type are refused whatever it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from seamark.api.core import Call
from seamark.api.metadata import check_kind
from seamark.api.negotiation import JSON, MEDIA_TYPES, PROTOBUF, YAML, body_media_type
from seamark.api.objects import Obj
from seamark.api.options import validation_policy
from seamark.api.yamltext import decode_yaml, explain, find_repeated_keys
from seamark.machinery import protobuf, schema, status
from seamark.machinery.duplicates import find_duplicates, find_misfits, has_duplicates
from seamark.machinery.fielderrors import invalid
from seamark.machinery.jsonvalue import json_kind
from seamark.machinery.schema import Message
from seamark.machinery.status import StatusError, bad_request
from seamark.machinery.strict import cannot_be_handled, conform_object
from seamark.machinery.wire import Request
from seamark.resources.registry import ConformError, Resource

_SHOWN = 30  # bytes of a body that a refusal repeats
_NO_PROTOBUF = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
_NO_KIND = "couldn't get version/kind; json parse error: "
_TYPE_META = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'


@dataclass(frozen=True, slots=True)
class Findings:
    """What a body has that its kind does not have, or has twice: ``lines`` of YAML, and ``fields``."""

    fields: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.lines)

    def __str__(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.lines)
        told = (f"yaml: unmarshal errors:{lines}",) if self.lines else ()
        return f"strict decoding error: {', '.join((*told, *self.fields))}"


def decode_body(request: Request, api_version: str, kind: str, *, known: Sequence[str] = MEDIA_TYPES) -> Any:
    """The body as plain values, an empty one and null as ``{}``. Raises 400 and 415."""
    media_type, body = body_media_type(request.headers.get("content-type", ""), known), request.body
    try:
        if media_type == PROTOBUF:
            if not body.startswith(protobuf.MAGIC):
                raise _unrecognized(kind, _NO_PROTOBUF if body else "empty data", body)
            return protobuf.decode_body(body, api_version=api_version, kind=kind)
        value = decode_yaml(body) if media_type == YAML else msgspec.json.decode(body)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        why = explain(error) if media_type == YAML else _NO_KIND + explain_json(error)
        raise _unrecognized(kind, why, body) from None
    if value is not None and not isinstance(value, dict):
        why = f"json: cannot unmarshal {json_kind(value)} into Go value of type {_TYPE_META}"
        raise _unrecognized(kind, _NO_KIND + why, body)
    return value or {}


def _unrecognized(kind: str, why: str, body: bytes) -> StatusError:
    """With the beginning of the body, as text if it may be JSON, else in hexadecimal."""
    start = body[:_SHOWN]
    shown = start.decode(errors="replace") if start.startswith(b"{") else start.hex()
    more = " ..." if len(body) > _SHOWN else ""
    where = f"the object provided is unrecognized (must be of type {kind})"
    return bad_request(f"{where}: {why} ({shown or '<empty>'}{more})")


def explain_json(error: Exception) -> str:
    text = str(error)
    return "unexpected end of JSON input" if text == "Input data was truncated" else text


def decode_object(call: Call) -> Obj:
    """The object of a POST or PUT in the shape it is stored in."""
    gvr, row = call.target.gvr, call.target.row
    obj = decode_as(call, gvr.api_version, gvr.kind)
    if gvr != row.gvr and row.convert is not None:
        obj = row.convert(obj, row.gvr)
    return obj


def decode_as(call: Call, api_version: str, kind: str, *, former: str = "") -> Obj:
    """The same for a body of another kind than its object's, which is what subresources take.

    ``former``: an older version of the same shape that is taken as well.
    """
    is_custom = call.target.row.custom is not None and kind == call.target.row.gvr.kind
    body = decode_body(call.request, api_version, kind, known=(JSON, YAML) if is_custom else MEDIA_TYPES)
    if former and body.get("apiVersion") == former:
        body["apiVersion"] = api_version
    if is_custom:
        _check_custom(call, body)
    obj = check_kind(body, api_version, kind)
    found, unknown = conform(call.target.row, obj)
    message = schema.message(api_version, kind) or _unknown_message(api_version, kind)
    findings = _find_repeated(call.request, unknown, message)
    policy = validation_policy(call.request)
    if findings and policy == "Strict":
        raise cannot_be_handled(message, str(findings))
    if policy == "Warn":
        call.warnings.extend((*findings.lines, *findings.fields))
    return found


def _check_custom(call: Call, body: Obj) -> None:
    """Kubernetes does not guess the kind of a custom object, and judges it with the object. Raises 400, 422."""
    gvr, kind = call.target.gvr, body.get("kind")
    if not kind:
        why = f"Object 'Kind' is missing in '{call.request.body.decode(errors='replace')}'"
        raise _unrecognized(gvr.kind, why, call.request.body)
    if kind != gvr.kind and body.get("apiVersion") == gvr.api_version and isinstance(kind, str):
        name = str((body.get("metadata") or {}).get("name") or "")
        raise status.invalid(kind, name, [invalid("kind", kind, f"must be {gvr.kind}")], group=gvr.group)


def _unknown_message(api_version: str, kind: str) -> Message:
    """Of a custom kind: its name, for errors."""
    group, _, version = api_version.rpartition("/")
    return Message("", (), {}, group=group, version=version, kind=kind)


def _find_repeated(request: Request, unknown: tuple[str, ...], message: Message) -> Findings:
    """The unknown fields, and what stands twice in the text."""
    if validation_policy(request) == "Ignore":
        return Findings()
    media_type = body_media_type(request.headers.get("content-type", ""))
    try:
        if media_type == YAML:
            return Findings(unknown, find_repeated_keys(request.body))
        if media_type == JSON and request.body and has_duplicates(request.body):
            if not message.name:
                return Findings((*find_duplicates(request.body), *unknown))
            return Findings(find_misfits(request.body, message))
    except RecursionError:
        raise _unrecognized(message.kind, "nested too deeply", request.body) from None
    return Findings(unknown)


def conform(row: Resource, obj: Obj) -> tuple[Obj, tuple[str, ...]]:
    """The object without what its kind does not have, which is told. Raises 400 for wrong types.

    ``row`` is the one asked for; the object may be of another kind (a Scale).
    """
    if row.custom is not None and (obj["apiVersion"], obj["kind"]) == (row.gvr.api_version, row.gvr.kind):
        try:
            return row.custom.conform(obj)
        except ConformError as error:
            raise cannot_be_handled(_unknown_message(obj["apiVersion"], obj["kind"]), str(error)) from None
    message = schema.message(obj["apiVersion"], obj["kind"])
    if message is None:
        return obj, ()
    found, unknown = conform_object(obj, message)
    found.setdefault("metadata", {})
    return found, unknown
