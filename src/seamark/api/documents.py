"""/openapi/v3 and /openapi/v2 over HTTP: which document, under which name, for how long.

A URL with a hash names its content, so it may be kept for ever; the others carry an ETag. Documents are rendered on
first request, in a thread, since the largest take a tenth of a second.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial

from seamark.api.negotiation import JSON, parse_accept
from seamark.api.openapi import (
    render_openapi_v2,
    render_openapi_v2_protobuf,
    render_openapi_v3,
    render_openapi_v3_index,
)
from seamark.api.routing import UnknownPathError, method_not_allowed
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request, Response
from seamark.resources.registry import Registry

_V2_JSON = "application/com.github.proto-openapi.spec.v2.v1.0+json"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_NAMES = (V2_PROTOBUF, V2_PROTOBUF.replace("v2.v1.0", "v2@v1.0"))  # the second is what clients ask for
_FOREVER = "public, immutable, max-age=31536000"


async def openapi(registry: Registry, request: Request) -> Response | None:
    """None when the path is none of these. Raises 404, 405 and 406."""
    render = _select(registry, request.path.rstrip("/"))
    if render is None:
        return None
    if request.method != "GET":
        raise method_not_allowed()
    media_type = _select_type(request)
    if media_type == V2_PROTOBUF:
        render = partial(render_openapi_v2_protobuf, registry)
    body = await asyncio.to_thread(render)
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    kept = _FOREVER if request.param("hash") else "public"
    headers = {"content-type": media_type, "etag": etag, "cache-control": kept, "vary": "Accept"}
    if request.headers.get("if-none-match") == etag:
        return Response(304, b"", headers)
    return Response(200, body, headers)


def _select(registry: Registry, path: str) -> Callable[[], bytes] | None:
    match path.split("/")[1:]:
        case ["openapi", "v2"]:
            return partial(render_openapi_v2, registry)
        case ["openapi", "v3"]:
            return partial(render_openapi_v3_index, registry)
        case ["openapi", "v3", "api", version]:
            return partial(render_openapi_v3, registry, "", version)
        case ["openapi", "v3", "apis", group, version]:
            return partial(render_openapi_v3, registry, group, version)
        case ["openapi", *_]:
            raise UnknownPathError(path)
    return None


def _select_type(request: Request) -> str:
    """The first clause of Accept that can be served: JSON, and for v2 gnostic's protobuf. Raises 406."""
    accept = request.headers.get("accept", "")
    is_v2 = request.path.rstrip("/") == "/openapi/v2"
    if not accept.strip():
        return JSON
    for clause in parse_accept(accept):
        if clause.media_type in (JSON, "application/*", "*/*", _V2_JSON):
            return JSON
        if is_v2 and clause.media_type in _V2_PROTOBUF_NAMES:
            return V2_PROTOBUF
    listed = f"{JSON}, {V2_PROTOBUF}" if is_v2 else JSON
    raise StatusError(406, "NotAcceptable", f"only the following media types are accepted: {listed}")
