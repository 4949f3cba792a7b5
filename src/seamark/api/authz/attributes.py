"""What a request asks for, as authorisation sees it: verb, resource, name, or a path that is no resource.

Rule: what is authorised must be what is served, so a request that names something served is judged by its ``Target``.
Only a path that leads nowhere is read for itself, to tell "you may not know" (403) from "there is none" (404).
Facts: k8s.io/apiserver pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from urllib.parse import unquote

from seamark.api.core import Target
from seamark.machinery.authorize import Attributes, demanded
from seamark.machinery.names import validate_path_segment
from seamark.machinery.wire import Request

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION = {"get": "list", "delete": "deletecollection"}
_SELECTING = ("list", "watch", "deletecollection")


def is_resource_path(path: str) -> bool:
    """Whether it has the shape of a resource's path, whatever it names; all else is judged as a plain path."""
    parts = path.removesuffix("/").split("/")
    return (len(parts) > 3 and parts[1] == "api") or (len(parts) > 4 and parts[1] == "apis" and bool(parts[2]))


def path_attributes(request: Request) -> Attributes:
    return Attributes(request.method.lower(), path=unquote(request.path))


def target_attributes(target: Target, request: Request) -> Attributes:
    """A namespace is inside itself: a RoleBinding in it may allow to get it."""
    gvr = target.gvr
    namespace = target.name if gvr.resource == "namespaces" and not gvr.group else target.namespace
    return _attributes(
        request, Attributes("", gvr.group, gvr.resource, target.subresource, namespace, target.name), old=target.watch
    )


def unserved_attributes(request: Request) -> Attributes:
    """Of a path that has the shape of a resource's but names nothing that is served."""
    parts = [unquote(part) for part in request.path.removesuffix("/").split("/")[1:]]
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    old = rest[0] in ("watch", "proxy") and len(rest) > 1
    rest = rest[1:] if old else rest
    namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 1 else ""
    if namespace and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        rest = rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    return _attributes(request, Attributes("", group, resource, subresource, namespace, name), old=old)


def _attributes(request: Request, asked: Attributes, *, old: bool) -> Attributes:
    """``old`` is the ``/watch/`` prefix, which is a verb of its own."""
    verb = "watch" if old and request.method == "GET" else _VERBS.get(request.method, request.method.lower())
    if asked.name:
        return asked._replace(verb=verb)
    verb = "watch" if verb == "get" and request.flag("watch") else _COLLECTION.get(verb, verb)
    if old or verb not in _SELECTING or not request.query:
        return asked._replace(verb=verb)
    selector = request.param("fieldSelector")
    name = _single_name(selector) if verb != "deletecollection" else ""
    return asked._replace(verb=verb, name=name, field_selector=selector)


def _single_name(selector: str) -> str:
    """The one object that ``metadata.name=X`` narrows a list or watch to."""
    name = demanded(selector, "metadata.name")
    return "" if validate_path_segment(name) else name
