"""Paths and methods: what a request names and which verb it means.

Three shapes of "not there", as clients tell them apart: an unknown group or path is text/plain, an unknown resource
in a known group is a Status without details, a missing object is found out by the verb.
"""

from __future__ import annotations

from urllib.parse import unquote

from seamark.api.core import Target
from seamark.machinery.fielderrors import quote
from seamark.machinery.status import StatusError, bad_request, not_found
from seamark.resources.registry import Registry

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


_LATER = ("resize",)  # Kubernetes has it, this server not yet


class UnknownPathError(Exception):
    """No such group, version or path: ``404 page not found``."""


def unknown_resource() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def not_implemented(what: str) -> StatusError:
    return StatusError(501, "NotImplemented", f"{what} is not supported by this server yet")


def method_not_allowed() -> StatusError:
    return StatusError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def parse_target(registry: Registry, path: str) -> Target:
    """What ``path`` names. Raises UnknownPathError, StatusError."""
    segments = [unquote(s) for s in path.removesuffix("/").split("/")[1:]]
    if len(segments) > 2 and segments[0] == "api":
        group, version, rest = "", segments[1], segments[2:]
    elif len(segments) > 3 and segments[0] == "apis" and segments[1]:
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        raise unknown_path(registry, path)
    try:
        return _parse_rest(registry, group, version, rest)
    except StatusError as error:
        is_unlisted = error.code == 404 and not error.details  # no such resource: below a custom group, no such path
        if (group, version) not in registry.group_versions() or (is_unlisted and group not in registry.builtin_groups):
            raise unknown_path(registry, path) from None
        raise


def unknown_path(registry: Registry, path: str) -> Exception:
    """What is below a group that is served has a Status for an answer, whatever the version."""
    head, _, rest = path.strip("/").partition("/")
    group = rest.partition("/")[0] if head == "apis" else ""
    is_known = head in ("api", "apis") and group in registry.builtin_groups
    return unknown_resource() if rest and is_known else UnknownPathError(path)


def _parse_rest(registry: Registry, group: str, version: str, rest: list[str]) -> Target:
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _is_namespace_subresource(group, rest):
        namespace, rest = rest[1], rest[2:]
        _check_segment("Namespace", namespace)
    found = registry.find(group, version, rest[0])
    if found is None or (len(rest) > 3 and rest[2] != "proxy"):  # behind proxy stands somebody else's path
        raise unknown_resource()
    row, gvr = found
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if (bool(namespace) and not gvr.namespaced) or (name and gvr.namespaced and not namespace):
        raise unknown_resource()
    if len(rest) > 1:
        _check_segment("Name", name)
    if len(rest) > 2 and subresource not in row.subresources:
        if row.custom is not None:
            raise not_found(gvr.resource, name, group=gvr.group)
        raise not_implemented(subresource) if subresource in _LATER else unknown_resource()
    return Target(row, gvr, namespace, name, subresource, watch)


def _is_namespace_subresource(group: str, rest: list[str]) -> bool:
    return not group and len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES


def _check_segment(what: str, value: str) -> None:
    """apimachinery's path.ValidatePathSegmentName: what would change the meaning of a path is refused."""
    problems = [f"may not be '{value}'"] if value in ("", ".", "..") else []
    problems += [f"may not contain '{one}'" for one in "/%" if one in value]
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        problems.append("may not contain control characters")
    if problems:
        raise bad_request(f"{what} parameter invalid: {quote(value)}: {'; '.join(problems)}")


def parse_verb(target: Target, method: str, *, watch: bool) -> str:
    """The verb that ``method`` means on the target itself (not on a subresource). Raises 405."""
    verb = ""
    if target.name:
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "")
        if target.watch and method == "GET":
            verb = "watch"
    elif method == "GET":
        verb = "watch" if watch or target.watch else "list"
    elif method == "POST" and bool(target.namespace) == target.gvr.namespaced:
        verb = "create"
    elif method == "DELETE" and bool(target.namespace) == target.gvr.namespaced:
        verb = "deletecollection"
    if verb not in target.row.verbs:
        raise method_not_allowed()
    return verb
