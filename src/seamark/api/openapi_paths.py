"""Paths and operations of OpenAPI out of the rows of the registry, for one group version and one dialect.

Clients read few things here: that a kind's PATCH lists ``fieldValidation`` (kubectl's ``--validate``), the
``x-kubernetes-group-version-kind`` of an operation (explain), and which schema an operation takes and gives. An
operation states the media types and parameters that the server knows, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from seamark.api.discovery import SUBRESOURCE_KINDS, SUBRESOURCE_VERBS, subresource_kind
from seamark.api.negotiation import JSON, MEDIA_TYPES, YAML
from seamark.api.openapi_schemas import AS_IT_IS, Dialect, reference
from seamark.machinery import schema
from seamark.machinery.gvr import GVR
from seamark.machinery.schema import Message
from seamark.resources.registry import Resource

Node = dict[str, Any]

_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

# verb → HTTP method, the action of the extension, the words of the operation
_VERBS = {
    "get": ("get", "get", "read"),
    "list": ("get", "list", "list"),
    "create": ("post", "post", "create"),
    "update": ("put", "put", "replace"),
    "patch": ("patch", "patch", "partially update"),
    "delete": ("delete", "delete", "delete"),
    "deletecollection": ("delete", "deletecollection", "delete collection of"),
}
_CONNECT = ("exec", "attach", "portforward", "proxy")

_DRY_RUN = ("dryRun", "string", "All: run every stage of the request and store nothing.")
_FIELD_MANAGER = ("fieldManager", "string", "The name of who makes the change, at most 128 characters.")
_FIELD_VALIDATION = (
    "fieldValidation",
    "string",
    "What unknown and duplicate fields are: Ignore, Warn (a warning header, the default) or Strict (an error).",
)
_LABELS = ("labelSelector", "string", "Only objects whose labels match.")
_FIELDS = ("fieldSelector", "string", "Only objects whose fields match.")
_LIST = (
    _LABELS,
    _FIELDS,
    ("limit", "integer", "At most so many objects; the answer's metadata.continue leads to the rest."),
    ("continue", "string", "The token of the page before."),
    ("resourceVersion", "string", "The version that the answer must at least have."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
    ("watch", "boolean", "Stream the changes instead of a list."),
    ("allowWatchBookmarks", "boolean", "Send bookmarks in a watch."),
    ("sendInitialEvents", "boolean", "Begin a watch with an event for every object."),
    ("timeoutSeconds", "integer", "How long a list or watch may take."),
)
_DELETE = (
    _DRY_RUN,
    ("gracePeriodSeconds", "integer", "How long before the object is removed; 0 is at once."),
    ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
)
_FORCE = ("force", "boolean", "For an apply alone: take over the fields that other managers own with other values.")
_WRITE = (_DRY_RUN, _FIELD_MANAGER, _FIELD_VALIDATION)
_PARAMETERS = {
    "get": (),
    "list": _LIST,
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, _FORCE),
    "delete": _DELETE,
    "deletecollection": (*_DELETE, _LABELS, _FIELDS),
}


@dataclass(frozen=True, slots=True)
class Served:
    """One path with its verbs: the collection, the object, or a subresource of it."""

    path: str
    verbs: tuple[str, ...]
    gvr: GVR
    message: Message | None  # what it takes and gives; None is free text or a stream
    listed: Message | None = None  # what a list of it is
    subresource: str = ""
    namespaced: bool = False


Pair = tuple[Resource, GVR]


def served_pairs(rows: Iterable[Resource], group: str, version: str) -> list[Pair]:
    pairs = [(row, gvr) for row in rows for gvr in (row.gvr, *row.served_as)]
    return [pair for pair in pairs if (pair[1].group, pair[1].version) == (group, version)]


def message_of(row: Resource, gvr: GVR) -> Message | None:
    """Of a custom kind one that is nothing but a name."""
    if row.custom is not None:
        return _custom_message(gvr, gvr.kind)
    return schema.message(gvr.api_version, gvr.kind)


def list_message_of(row: Resource, gvr: GVR) -> Message | None:
    if row.custom is not None:
        return _custom_message(gvr, row.custom.list_kind)
    return schema.message(gvr.api_version, f"{gvr.kind}List")


def _custom_message(gvr: GVR, kind: str) -> Message:
    name = ".".join((*reversed(gvr.group.split(".")), gvr.version, kind))
    return Message(AS_IT_IS + name, (), {}, group=gvr.group, version=gvr.version, kind=kind)


def list_served(row: Resource, gvr: GVR) -> Iterator[Served]:
    message, listed = message_of(row, gvr), list_message_of(row, gvr)
    whole = tuple(verb for verb in row.verbs if verb in ("list", "create", "deletecollection"))
    single = tuple(verb for verb in row.verbs if verb in ("get", "update", "patch", "delete"))
    path = gvr.path(namespace="{namespace}")
    if whole:
        yield Served(path, whole, gvr, message, listed, namespaced=gvr.namespaced)
    if gvr.namespaced and "list" in whole:
        yield Served(gvr.path(), ("list",), gvr, message, listed)
    if single:
        yield Served(f"{path}/{{name}}", single, gvr, message, namespaced=gvr.namespaced)
    for subresource in row.subresources:
        verbs = SUBRESOURCE_VERBS[subresource]
        given = _subresource_message(gvr, subresource, message)
        whole_part = Served(f"{path}/{{name}}/{subresource}", verbs, gvr, given, None, subresource, gvr.namespaced)
        yield whole_part
        if subresource == "proxy":
            yield replace(whole_part, path=f"{path}/{{name}}/proxy/{{path}}")


def _subresource_message(gvr: GVR, subresource: str, message: Message | None) -> Message | None:
    if subresource == "log" or subresource in _CONNECT:
        return None
    if subresource not in SUBRESOURCE_KINDS:
        return message
    group, version, kind = SUBRESOURCE_KINDS[subresource]
    return schema.message(f"{group}/{version}" if group else version or gvr.api_version, kind)


def render_path(served: Served, dialect: Dialect) -> Node:
    parameters = list(_path_parameters(served, dialect))
    node: Node = {"parameters": parameters} if parameters else {}
    for verb in served.verbs:
        method, _, _ = _VERBS[verb]
        node[method] = _operation(served, verb, dialect)
    return node


def _path_parameters(served: Served, dialect: Dialect) -> Iterator[Node]:
    if "/{name}" in served.path:
        yield _parameter("name", "string", f"name of the {served.gvr.kind}", dialect, place="path")
    if served.namespaced:
        yield _parameter("namespace", "string", "the namespace of the object", dialect, place="path")
    if "{path}" in served.path:
        yield _parameter("path", "string", "the path at the target", dialect, place="path")


def _parameter(name: str, kind: str, text: str, dialect: Dialect, *, place: str = "query") -> Node:
    node: Node = {"name": name, "in": place, "description": text}
    if place == "path":
        node["required"] = True
    typed = {"type": kind, "uniqueItems": True}
    return node | ({"schema": typed} if dialect.has_unions else typed)


def _operation(served: Served, verb: str, dialect: Dialect) -> Node:
    method, action, words = _VERBS[verb]
    gvr, message = served.gvr, served.message
    part = f"{served.subresource} of " if served.subresource else ""
    node: Node = {
        "description": f"{words} {part}the {gvr.kind}" if "{name}" in served.path else f"{words} {gvr.kind}",
        "operationId": _operation_id(served, verb),
        "tags": [f"{_tag(gvr)}_{gvr.version}"],
        "x-kubernetes-action": "connect" if served.subresource in _CONNECT else action,
        "x-kubernetes-group-version-kind": _kind_of(served),
    }
    parameters = [_parameter(*one, dialect) for one in _PARAMETERS[verb]]
    body = _body(verb, message)
    if dialect.has_unions:
        node |= {"parameters": parameters} if parameters else {}
        if body is not None:
            types = _patch_types(served) if verb == "patch" else _media_types(served)
            content = {one: {"schema": reference(body, dialect)} for one in types}
            node["requestBody"] = {"required": verb != "delete", "content": content}
    else:
        if body is not None:
            schema_node = {"schema": reference(body, dialect)}
            parameters.insert(0, {"name": "body", "in": "body", "required": verb != "delete", **schema_node})
        node |= {"parameters": parameters} if parameters else {}
        node["consumes"] = list(_patch_types(served)) if verb == "patch" else ["*/*"]
        node["produces"] = list(_media_types(served)) if message else ["text/plain" if method == "get" else "*/*"]
    node["responses"] = _responses(served, verb, dialect)
    return node


def _media_types(served: Served) -> tuple[str, ...]:
    """A custom kind has no protobuf message."""
    return (JSON, YAML) if _is_custom(served) else MEDIA_TYPES


def _patch_types(served: Served) -> tuple[str, ...]:
    """Nobody knows the merge keys of a custom kind."""
    return tuple(one for one in _PATCH_TYPES if not _is_custom(served) or "strategic" not in one)


def _is_custom(served: Served) -> bool:
    return served.message is not None and served.message.name.startswith(AS_IT_IS)


def _kind_of(served: Served) -> Node:
    group, version, kind = subresource_kind(served.subresource, served.gvr)
    return {"group": group or served.gvr.group, "version": version or served.gvr.version, "kind": kind}


def _tag(gvr: GVR) -> str:
    first, *rest = gvr.group.removesuffix(".k8s.io").split(".")
    return (first + "".join(map(str.capitalize, rest)) if not gvr.group.endswith(".k8s.io") else first) or "core"


def _operation_id(served: Served, verb: str) -> str:
    """``listCoreV1ServiceForAllNamespaces``, ``replaceAppsV1NamespacedDeploymentScale``: unique in a document."""
    gvr = served.gvr
    method, _, words = _VERBS[verb]
    prefix = "connect" if served.subresource in _CONNECT else {"partially update": "patch"}.get(words, words.split()[0])
    prefix += f"{_tag(gvr)[:1].upper()}{_tag(gvr)[1:]}{gvr.version.capitalize()}"
    if served.subresource in _CONNECT:
        prefix += method.capitalize()
    if verb == "deletecollection":
        prefix += "Collection"
    everywhere = gvr.namespaced and not served.namespaced
    part = served.subresource.capitalize() + ("WithPath" if "{path}" in served.path else "")
    return (
        f"{prefix}{'Namespaced' if served.namespaced else ''}{gvr.kind}{part}{'ForAllNamespaces' if everywhere else ''}"
    )


def _body(verb: str, message: Message | None) -> str | None:
    if message is None or verb in ("get", "list"):
        return None
    if verb in ("delete", "deletecollection"):
        return "meta.v1.DeleteOptions"
    return "meta.v1.Patch" if verb == "patch" else message.name


def _responses(served: Served, verb: str, dialect: Dialect) -> Node:
    answer = _answer(served, verb)
    ok: Node = {"description": "OK"}
    if answer is not None:
        node = {"schema": reference(answer, dialect)}
        ok |= {"content": dict.fromkeys(_media_types(served), node)} if dialect.has_unions else node
    responses = {"200": ok, "401": {"description": "Unauthorized"}}
    return responses | ({"201": ok | {"description": "Created"}} if verb in ("create", "update") else {})


def _answer(served: Served, verb: str) -> str | None:
    if served.message is None:
        return None
    if verb in ("delete", "deletecollection") or (verb == "create" and served.subresource in ("eviction", "binding")):
        return "meta.v1.Status"
    if verb == "list":
        return served.listed.name if served.listed else None
    return served.message.name
