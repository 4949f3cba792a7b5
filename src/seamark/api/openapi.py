"""OpenAPI v3 (one document per group version, and their index) and v2, rendered from registry and schema table.

kubectl asks them before ``apply``, ``create`` and ``explain``. A document is rendered at its first request and kept
as bytes; the index names each with the hash of its content, so that a client may cache it for ever.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from seamark import __version__
from seamark.api.openapi_gnostic import encode_document
from seamark.api.openapi_paths import list_kind, list_served, render_path, served_rows
from seamark.api.openapi_schemas import V2, V3, Dialect, render_schemas
from seamark.machinery.status import StatusError
from seamark.resources.registry import Registry

Node = dict[str, Any]

_INFO: Node = {"title": "Seamark, the Kubernetes API", "version": __version__}
_BEARER = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}
_COMMON = ("meta.v1.Status", "meta.v1.DeleteOptions", "meta.v1.Patch", "meta.v1.WatchEvent")


def render_openapi_v3_index(registry: Registry) -> bytes:
    """``/openapi/v3``: where the documents are."""
    return _index(registry)


def render_openapi_v3(registry: Registry, group: str, version: str) -> bytes:
    """``/openapi/v3/api/v1``, ``/openapi/v3/apis/GROUP/VERSION``. Raises 404 for what is not served."""
    if (group, version) not in registry.group_versions():
        raise StatusError(404, "NotFound", "the server could not find the requested resource")
    return _document(registry, group, version)


def render_openapi_v2(registry: Registry) -> bytes:
    """``/openapi/v2`` as JSON."""
    return _swagger(registry)


@lru_cache(maxsize=4)
def render_openapi_v2_protobuf(registry: Registry) -> bytes:
    """The same as gnostic's openapi.v2.Document."""
    return encode_document(msgspec.json.decode(_swagger(registry)))


@lru_cache(maxsize=4)
def _index(registry: Registry) -> bytes:
    paths = {}
    for group, version in registry.group_versions():
        place = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = hashlib.sha512(_document(registry, group, version)).hexdigest().upper()
        paths[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={digest}"}
    return msgspec.json.encode({"paths": paths})


@lru_cache(maxsize=64)
def _document(registry: Registry, group: str, version: str) -> bytes:
    paths, schemas = _render(registry, [(group, version)], V3)
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"BearerToken": _BEARER}},
        "security": [{"BearerToken": []}],
    }
    return msgspec.json.encode(document)


@lru_cache(maxsize=4)
def _swagger(registry: Registry) -> bytes:
    paths, schemas = _render(registry, list(registry.group_versions()), V2)
    document = {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths,
        "definitions": schemas,
        "securityDefinitions": {"BearerToken": _BEARER},
        "security": [{"BearerToken": []}],
    }
    return msgspec.json.encode(document)


def _render(registry: Registry, versions: list[tuple[str, str]], dialect: Dialect) -> tuple[Node, Node]:
    """Paths, and every schema that they reach."""
    paths: Node = {}
    roots = set(_COMMON)
    for group, version in versions:
        for row, gvr in served_rows(registry, group, version):
            for served in list_served(row, gvr):
                paths[served.path] = render_path(served, dialect)
                if served.message is not None:
                    roots.add(served.message.name)
                    listed = list_kind(served.message)
                    roots |= {listed.name} if listed else set()
    return dict(sorted(paths.items())), render_schemas(sorted(roots), dialect, registry.group_versions())
