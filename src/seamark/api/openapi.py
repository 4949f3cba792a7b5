"""OpenAPI v3 (one document per group version, and their index) and v2, rendered from registry and schema table.

kubectl asks them before ``apply``, ``create`` and ``explain``. What the built-in kinds contribute is rendered at the
first request and kept as bytes, what a definition of custom kinds contributes when it is new; a document is put
together of these. The index names each v3 document with the hash of its content, so that clients may keep it for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from seamark import __version__
from seamark.api.openapi_gnostic import encode_document
from seamark.api.openapi_paths import Pair, list_message_of, list_served, message_of, render_path, served_pairs
from seamark.api.openapi_schemas import (
    AS_IT_IS,
    V2,
    V3,
    Dialect,
    common_properties,
    openapi_name,
    reference,
    render_schemas,
)
from seamark.machinery.status import StatusError
from seamark.resources.registry import Registry, Resource

Node = dict[str, Any]

_INFO: Node = {"title": "Seamark, the Kubernetes API", "version": __version__}
_BEARER = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}
_COMMON = ("meta.v1.Status", "meta.v1.DeleteOptions", "meta.v1.Patch", "meta.v1.WatchEvent")


def render_openapi_v3_index(registry: Registry) -> bytes:
    """``/openapi/v3``: where the documents are."""
    parts, paths = _parts(registry), {}
    for group, version in registry.group_versions():
        place = f"apis/{group}/{version}" if group else f"api/{version}"
        paths[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={parts.document(group, version).digest}"}
    return msgspec.json.encode({"paths": paths})


def render_openapi_v3(registry: Registry, group: str, version: str) -> bytes:
    """``/openapi/v3/api/v1``, ``/openapi/v3/apis/GROUP/VERSION``. Raises 404 for what is not served."""
    if (group, version) not in registry.group_versions():
        raise StatusError(404, "NotFound", "the server could not find the requested resource")
    return _parts(registry).document(group, version).body


def render_openapi_v2(registry: Registry) -> bytes:
    """``/openapi/v2`` as JSON."""
    builtin, customs = _parts(registry).swagger, _parts(registry).fragments()
    paths, definitions = ([getattr(builtin, name)] for name in ("paths", "definitions"))
    for one in customs:
        paths.append(one.paths)
        definitions.append(one.definitions)
    return b"".join(
        (_HEAD, b'"paths":{', b",".join(paths), b'},"definitions":{', b",".join(filter(None, definitions)), b"}}")
    )


def render_openapi_v2_protobuf(registry: Registry) -> bytes:
    """The same as gnostic's openapi.v2.Document; messages of protobuf that follow one another are one."""
    parts = _parts(registry)
    return b"".join((parts.swagger.protobuf, *(one.protobuf for one in parts.fragments())))


class _Document(NamedTuple):
    serial: int
    body: bytes
    digest: str


class _Fragment(NamedTuple):
    """What some rows contribute to the v2 document: members without the braces around, and a message."""

    rows: tuple[Resource, ...]
    paths: bytes
    definitions: bytes
    protobuf: bytes


class _Parts:
    """What has been rendered of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._versions = registry.group_versions()
        self._documents: dict[tuple[str, str], _Document] = {}
        self._fragments: dict[str, _Fragment] = {}

    @cached_property
    def swagger(self) -> _Fragment:
        rows = self._registry.builtin
        paths, schemas = _render(_all_pairs(rows), V2, self._versions)
        return _fragment(rows, paths, schemas, _SWAGGER)

    def fragments(self) -> list[_Fragment]:
        """One for each definition; only those that changed are rendered."""
        kept, self._fragments = self._fragments, {}
        for source, rows in tuple(self._registry.custom.items()):
            found = kept.get(source)
            if found is None or found.rows is not rows:
                found = _fragment(rows, _paths(_all_pairs(rows), V2), _custom_schemas(rows, V2), {})
            self._fragments[source] = found
        return list(self._fragments.values())

    def document(self, group: str, version: str) -> _Document:
        serial = self._registry.group_serial(group)
        found = self._documents.get((group, version))
        if found is None or found.serial != serial:
            pairs = served_pairs(self._registry.rows, group, version)
            paths, schemas = _render(pairs, V3, self._versions)
            body = msgspec.json.encode({**_OPENAPI, "paths": paths, "components": {"schemas": schemas, **_SCHEMES}})
            found = _Document(serial, body, hashlib.sha512(body).hexdigest().upper())
            self._documents[group, version] = found
        return found


_KNOWN: WeakKeyDictionary[Registry, _Parts] = WeakKeyDictionary()


def _parts(registry: Registry) -> _Parts:
    found = _KNOWN.get(registry)
    if found is None:
        found = _KNOWN[registry] = _Parts(registry)
    return found


_SCHEMES = {"securitySchemes": {"BearerToken": _BEARER}}
_OPENAPI: Node = {"openapi": "3.0.0", "info": _INFO, "security": [{"BearerToken": []}]}
_SWAGGER: Node = {
    "swagger": "2.0",
    "info": _INFO,
    "securityDefinitions": {"BearerToken": _BEARER},
    "security": [{"BearerToken": []}],
}
_HEAD = msgspec.json.encode(_SWAGGER)[:-1] + b","


def _fragment(rows: tuple[Resource, ...], paths: Node, schemas: Node, document: Node) -> _Fragment:
    encoded = encode_document({**document, "paths": paths, "definitions": schemas})
    return _Fragment(rows, msgspec.json.encode(paths)[1:-1], msgspec.json.encode(schemas)[1:-1], encoded)


def _all_pairs(rows: Iterable[Resource]) -> list[Pair]:
    return [(row, gvr) for row in rows for gvr in (row.gvr, *row.served_as)]


def _paths(pairs: Iterable[Pair], dialect: Dialect) -> Node:
    found = {one.path: render_path(one, dialect) for row, gvr in pairs for one in list_served(row, gvr)}
    return dict(sorted(found.items()))


def _render(pairs: list[Pair], dialect: Dialect, versions: Iterable[tuple[str, str]]) -> tuple[Node, Node]:
    """Paths, and every schema that they reach."""
    roots, schemas = set(_COMMON), _custom_schemas([row for row, _ in pairs], dialect)
    roots |= {"meta.v1.ObjectMeta", "meta.v1.ListMeta"} if schemas else set()
    for row, gvr in pairs:
        listed = list_message_of(row, gvr)
        found = [one.message for one in list_served(row, gvr)] + [listed]
        roots |= {one.name for one in found if one is not None and not one.name.startswith(AS_IT_IS)}
    schemas |= render_schemas(sorted(roots), dialect, versions)
    return _paths(pairs, dialect), dict(sorted(schemas.items()))


def _custom_schemas(rows: Iterable[Resource], dialect: Dialect) -> Node:
    """Of custom kinds and of their lists."""
    found: Node = {}
    for row in rows:
        one, many = message_of(row, row.gvr), list_message_of(row, row.gvr)
        if row.custom is None or one is None or many is None:
            continue
        found[openapi_name(one.name)] = row.custom.published(
            common_properties("PartialObjectMetadata", "meta.v1.ObjectMeta", dialect), v2=dialect is V2
        )
        found[openapi_name(many.name)] = {
            "description": f"{many.kind} is a list of {one.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                **common_properties("PartialObjectMetadataList", "meta.v1.ListMeta", dialect),
                "items": {"type": "array", "items": reference(one.name, dialect)},
            },
            "x-kubernetes-group-version-kind": [{"group": one.group, "kind": many.kind, "version": one.version}],
        }
    return found
