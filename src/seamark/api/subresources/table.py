"""The table of what is neither a plain verb: subresources, and kinds that are questions rather than objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from seamark.api.core import Call, Core
from seamark.api.subresources.finalize import finalize
from seamark.api.subresources.status import get_status, patch_status, update_status
from seamark.machinery.wire import Response

SUBRESOURCES: Mapping[tuple[str, str], Callable[[Core, Call], Awaitable[Response]]] = {
    ("finalize", "PUT"): finalize,
    ("status", "GET"): get_status,
    ("status", "PATCH"): patch_status,
    ("status", "PUT"): update_status,
}
