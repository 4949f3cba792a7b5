"""How many requests may be under way at once, as kube-apiserver's ``--max-requests-inflight`` limits them.

What reads and what writes have a limit each; beyond it a request is answered 429 and told to come again in a second.
Administrators are always served, and what stays open by its nature (watches, logs, execs, proxied requests) is not
counted. Only what comes over the network is: the cluster's own parts wait their turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from seamark.api.respond import respond_text
from seamark.machinery.wire import ADMIN_GROUP, Request, Response

READING = 400
MUTATING = 200
_OPEN_ENDED = ("attach", "exec", "log", "portforward", "proxy")

Answer = TypeVar("Answer")


class Inflight:
    """``reading`` and ``mutating`` are the limits; 0 = none."""

    def __init__(self, *, reading: int = READING, mutating: int = MUTATING) -> None:
        self._limits = {False: reading, True: mutating}
        self._counts = {False: 0, True: 0}

    async def serve(self, request: Request, handle: Callable[[Request], Awaitable[Answer]]) -> Answer | Response:
        if is_long_running(request):
            return await handle(request)
        mutates = request.method not in ("GET", "HEAD")
        if 0 < self._limits[mutates] <= self._counts[mutates] and not _is_administrator(request):
            return _too_many()
        self._counts[mutates] += 1
        try:
            return await handle(request)
        finally:
            self._counts[mutates] -= 1


def is_long_running(request: Request) -> bool:
    if request.query and request.flag("watch"):
        return True
    parts = request.path.split("/")
    if parts[-1] in _OPEN_ENDED or "proxy" in parts:
        return True
    return "watch" in parts[3:4] if parts[1:2] == ["api"] else "watch" in parts[4:5]


def _is_administrator(request: Request) -> bool:
    return request.identity is not None and ADMIN_GROUP in request.identity.groups


def _too_many() -> Response:
    response = respond_text("Too many requests, please try again later.\n", status=429)
    response.headers["retry-after"] = "1"
    return response
