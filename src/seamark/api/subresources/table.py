"""The table of what is no plain verb: subresources, and kinds that are questions rather than objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from seamark.api.core import Call, Core
from seamark.api.subresources.binding import binding
from seamark.api.subresources.eviction import eviction
from seamark.api.subresources.exec import Switch, open_attach, open_exec, refuse_plain_attach, refuse_plain_exec
from seamark.api.subresources.finalize import finalize
from seamark.api.subresources.log import log, open_log
from seamark.api.subresources.portforward import open_portforward, refuse_plain_portforward
from seamark.api.subresources.proxy import open_proxy, proxy
from seamark.api.subresources.review import review_access, review_own_access, review_own_rules, review_self
from seamark.api.subresources.scale import get_scale, patch_scale, update_scale
from seamark.api.subresources.status import get_status, patch_status, update_status
from seamark.api.subresources.token import request_token, review_token
from seamark.api.verbs.get import get
from seamark.api.verbs.patch import patch
from seamark.api.verbs.update import update
from seamark.machinery.wire import Response

Serve = Callable[[Core, Call], Awaitable[Response]]

SUBRESOURCES: Mapping[tuple[str, str], Serve] = {
    ("approval", "GET"): get_status,
    ("approval", "PATCH"): patch_status,
    ("approval", "PUT"): update_status,
    ("attach", "GET"): refuse_plain_attach,
    ("attach", "POST"): refuse_plain_attach,
    ("binding", "POST"): binding,
    ("ephemeralcontainers", "GET"): get,
    ("ephemeralcontainers", "PATCH"): patch,
    ("ephemeralcontainers", "PUT"): update,
    ("eviction", "POST"): eviction,
    ("exec", "GET"): refuse_plain_exec,
    ("exec", "POST"): refuse_plain_exec,
    ("finalize", "PUT"): finalize,
    ("log", "GET"): log,
    ("portforward", "GET"): refuse_plain_portforward,
    ("portforward", "POST"): refuse_plain_portforward,
    ("proxy", "DELETE"): proxy,
    ("proxy", "GET"): proxy,
    ("proxy", "PATCH"): proxy,
    ("proxy", "POST"): proxy,
    ("proxy", "PUT"): proxy,
    ("scale", "GET"): get_scale,
    ("scale", "PATCH"): patch_scale,
    ("scale", "PUT"): update_scale,
    ("status", "GET"): get_status,
    ("status", "PATCH"): patch_status,
    ("status", "PUT"): update_status,
    ("token", "POST"): request_token,
}


def find_subresource(subresource: str, method: str) -> Serve | None:
    """HEAD and OPTIONS are for what is behind a proxy; they need the right to GET."""
    if subresource == "proxy" and method in ("HEAD", "OPTIONS"):
        method = "GET"
    return SUBRESOURCES.get((subresource, method))


QUESTIONS: Mapping[str, Serve] = {
    "bindings": binding,
    "localsubjectaccessreviews": review_access,
    "selfsubjectaccessreviews": review_own_access,
    "selfsubjectreviews": review_self,
    "selfsubjectrulesreviews": review_own_rules,
    "subjectaccessreviews": review_access,
    "tokenreviews": review_token,
}
"""Kinds that are posted, answered and not stored."""

ANSWERED_AS_THEY_ARE = ("log", "proxy")
"""Subresources whose answer is somebody else's text, whatever the client would read."""

UPGRADES: Mapping[str, Callable[[Core, Call], Awaitable[Switch | None]]] = {
    "attach": open_attach,
    "exec": open_exec,
    "log": open_log,
    "portforward": open_portforward,
    "proxy": open_proxy,
}
"""Subresources that turn the connection into another protocol; None where it is one that they do not speak."""
