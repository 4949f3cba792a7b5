"""Request bodies: bytes of JSON, YAML or protobuf to a plain dict, and what is wrong with their fields.

``fieldValidation`` decides about unknown and duplicate fields: Warn (the default) answers them as warnings, Strict
refuses, Ignore is silent.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from seamark.api.core import Call
from seamark.api.metadata import check_kind
from seamark.api.negotiation import PROTOBUF, YAML, body_media_type
from seamark.api.objects import Obj
from seamark.machinery import protobuf
from seamark.machinery.status import bad_request
from seamark.machinery.wire import Request


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
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {error}") from error


def decode_yaml(body: bytes) -> Any:
    """YAML restricted to what JSON can say: keys are strings."""
    value = yaml.load(body.decode(), Loader=_Loader)  # a safe loader
    return msgspec.json.decode(msgspec.json.encode(value))


def decode_object(call: Call) -> tuple[Obj, tuple[str, ...]]:
    """The object of a POST or PUT in the shape it is stored in, and the warnings about it."""
    gvr, row = call.target.gvr, call.target.row
    obj = check_kind(decode_body(call.request, gvr.api_version, gvr.kind), gvr.api_version, gvr.kind)
    if gvr != row.gvr and row.convert is not None:
        obj = row.convert(obj, row.gvr)
    return obj, ()


def decode_as(call: Call, api_version: str, kind: str) -> Obj:
    """The body of a subresource that takes another kind than its object's."""
    return check_kind(decode_body(call.request, api_version, kind), api_version, kind)
