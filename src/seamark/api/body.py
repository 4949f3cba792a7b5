"""Request bodies: bytes of JSON, YAML or protobuf to an object in the shape of its kind.

``fieldValidation`` decides about unknown and duplicate fields: Warn (the default) answers them as warnings, Strict
refuses, Ignore is silent. Values of a wrong type are refused whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from seamark.api.core import Call
from seamark.api.metadata import check_kind
from seamark.api.negotiation import JSON, PROTOBUF, YAML, body_media_type
from seamark.api.objects import Obj
from seamark.api.options import validation_policy
from seamark.machinery import protobuf, schema
from seamark.machinery.status import bad_request
from seamark.machinery.strict import conform_object, find_duplicates, strict_error
from seamark.machinery.wire import Request

_EXPANDED_MAX = 1_000_000  # values in one body


class _Loader(yaml.CSafeLoader):
    """YAML as the API reads it: a date stays text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def decode_body(request: Request, api_version: str, kind: str) -> Any:
    """The body as plain values. Raises 400 and 415."""
    media_type = body_media_type(request.headers.get("content-type", ""))
    if not request.body.strip():
        raise bad_request(f"the request body is empty (must be of type {kind})")
    if media_type == PROTOBUF:
        return protobuf.decode_body(request.body, api_version=api_version, kind=kind)
    try:
        return decode_yaml(request.body) if media_type == YAML else msgspec.json.decode(request.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, TypeError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {error}") from error


def decode_yaml(body: bytes) -> Any:
    """YAML restricted to what JSON can say: keys are strings. Raises what its two readers raise, and TypeError."""
    value = yaml.load(body.decode(), Loader=_Loader)  # a safe loader
    if b"*" in body and _size(value, {}) > _EXPANDED_MAX:
        raise yaml.YAMLError("document contains excessive aliasing")
    return msgspec.json.decode(msgspec.json.encode(value))


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values there are once every alias is written out, long texts as several; a circle has no end."""
    if not isinstance(value, dict | list):
        return 1 + len(value) // 16 if isinstance(value, str) else 1
    found = known.get(id(value))
    if found is None:
        known[id(value)] = _EXPANDED_MAX + 1  # seen again before it is done: it holds itself
        found = known[id(value)] = 1 + sum(_size(one, known) for one in _inner(value))
    return found


def _inner(value: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def decode_object(call: Call) -> tuple[Obj, tuple[str, ...]]:
    """The object of a POST or PUT in the shape it is stored in, and the warnings about it."""
    gvr, row = call.target.gvr, call.target.row
    obj, warnings = decode_as(call, gvr.api_version, gvr.kind)
    if gvr != row.gvr and row.convert is not None:
        obj = row.convert(obj, row.gvr)
    return obj, warnings


def decode_as(call: Call, api_version: str, kind: str) -> tuple[Obj, tuple[str, ...]]:
    """The same for a body of another kind than its object's, which is what subresources take."""
    request = call.request
    obj = check_kind(decode_body(request, api_version, kind), api_version, kind)
    repeated: tuple[str, ...] = ()
    if validation_policy(request) != "Ignore" and body_media_type(request.headers.get("content-type", "")) == JSON:
        repeated = _duplicates(request.body, kind)
    return conform(request, obj, repeated=repeated)


def _duplicates(body: bytes, kind: str) -> tuple[str, ...]:
    try:
        return find_duplicates(body)
    except RecursionError:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): nested too deeply") from None


def conform(request: Request, obj: Obj, *, repeated: tuple[str, ...] = ()) -> tuple[Obj, tuple[str, ...]]:
    """The object without what its kind does not have, and the warnings. Raises 400 for wrong types, or if Strict."""
    policy = validation_policy(request)
    message = schema.message(obj["apiVersion"], obj["kind"])
    if message is None:
        return obj, ()
    found, findings = conform_object(obj, message)
    found.setdefault("metadata", {})
    findings = (*findings, *repeated)
    if findings and policy == "Strict":
        raise strict_error(message, findings)
    return found, findings if policy == "Warn" else ()
