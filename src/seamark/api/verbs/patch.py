"""PATCH: JSON patch, JSON merge patch and strategic merge patch, applied anew when another writer was faster.

Server-side apply, the fourth kind, is in ``verbs/apply.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from seamark.api.body import conform
from seamark.api.core import Call, Core
from seamark.api.metadata import check_kind, check_place
from seamark.api.objects import Obj
from seamark.api.options import check_write_options, refused
from seamark.api.ownership import is_apply
from seamark.api.verbs.apply import apply
from seamark.api.verbs.create import respond_written
from seamark.api.writes import update_object
from seamark.machinery import schema
from seamark.machinery.fielderrors import forbidden
from seamark.machinery.patch import apply_json_patch, apply_merge_patch, apply_strategic_merge
from seamark.machinery.status import StatusError, bad_request
from seamark.machinery.wire import Request, Response

Patch = Callable[[Obj, Any], Obj]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


async def patch(core: Core, call: Call) -> Response:
    if is_apply(call.request):
        return await apply(core, call)
    check_patch_options(call.request)
    patched_by = parse_patch(call)
    warnings: tuple[str, ...] = ()

    def change(current: Obj) -> Obj:
        nonlocal warnings
        patched, warnings = patched_by(current)
        return patched

    written = await update_object(core, call, change, retry=True)
    return respond_written(core, call, written, warnings)


def check_patch_options(request: Request) -> None:
    """Raises 422."""
    if request.params("force"):
        raise refused("PATCH", [forbidden("force", "may not be specified for non-apply patch")])
    check_write_options(request)


def parse_patch(call: Call) -> Callable[[Obj], tuple[Obj, tuple[str, ...]]]:
    """The patch as a function of the current object, which also gives warnings. Raises 400 and 415."""
    row, gvr = call.target.row, call.target.gvr
    change = select_patch(call.request.headers.get("content-type", ""), gvr.api_version, gvr.kind)
    body = decode_patch(call.request.body)

    def patched(current: Obj) -> tuple[Obj, tuple[str, ...]]:
        if gvr != row.gvr and row.convert is not None:
            current = row.convert(current, gvr)
        found, warnings = conform(call.request, check_kind(change(current, body), gvr.api_version, gvr.kind))
        check_place(call, found)
        if gvr != row.gvr and row.convert is not None:
            found = row.convert(found, row.gvr)
        return found, warnings

    return patched


def select_patch(content_type: str, api_version: str, kind: str) -> Patch:
    """Raises 415 for what is no patch, and for a strategic one on a kind whose lists nobody knows."""
    given = content_type.split(";", 1)[0].strip().lower()
    if given == JSON_PATCH:
        return apply_json_patch
    if given == MERGE_PATCH:
        return apply_merge_patch
    message = schema.message(api_version, kind)
    if given == STRATEGIC_PATCH and message is not None:
        return partial(apply_strategic_merge, kind=message)
    raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def decode_patch(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
