"""PATCH: JSON patch, JSON merge patch and strategic merge patch, applied anew when another writer was faster.

Server-side apply, the fourth kind, is in ``verbs/apply.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from seamark.api.body import Findings, conform, explain_json
from seamark.api.core import Call, Core
from seamark.api.metadata import check_kind, check_place
from seamark.api.objects import Obj, encode
from seamark.api.options import check_write_options, refused, validation_policy
from seamark.api.ownership import APPLY_PATCH, is_apply
from seamark.api.verbs.apply import apply
from seamark.api.verbs.create import respond_written
from seamark.api.writes import update_object
from seamark.machinery import schema
from seamark.machinery.duplicates import find_duplicates
from seamark.machinery.fielderrors import forbidden, quote
from seamark.machinery.jsonvalue import print_json
from seamark.machinery.patch import apply_json_patch, apply_merge_patch, apply_strategic_merge
from seamark.machinery.status import Cause, StatusError, bad_request, invalid
from seamark.machinery.wire import Request, Response

Patch = Callable[[Obj, Any], Obj]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


async def patch(core: Core, call: Call) -> Response:
    if is_apply(call.request):
        return await apply(core, call)
    check_patch_options(call.request)
    written = await update_object(core, call, parse_patch(call), retry=True)
    return respond_written(core, call, written)


def check_patch_options(request: Request) -> None:
    """Raises 422."""
    if request.params("force"):
        raise refused("PATCH", [forbidden("force", "may not be specified for non-apply patch")])
    check_write_options(request)


def parse_patch(call: Call) -> Callable[[Obj], Obj]:
    """The patch as a function of the current object. Raises 400 and 415."""
    row, gvr = call.target.row, call.target.gvr
    change = select_patch(call, gvr.api_version, gvr.kind)

    def patched(current: Obj) -> Obj:
        if gvr != row.gvr and row.convert is not None:
            current = row.convert(current, gvr)
        found = change(current)
        check_place(call, found)
        if gvr != row.gvr and row.convert is not None:
            found = row.convert(found, row.gvr)
        return found

    return patched


def select_patch(call: Call, api_version: str, kind: str) -> Callable[[Obj], Obj]:
    """The patch of the body, for an object of ``kind``; what it leaves is in the shape of its kind.

    Raises 415 for what is no patch, and for a strategic one on a kind whose lists nobody knows.
    """
    request = call.request
    media_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    apply_patch: Patch
    if media_type == JSON_PATCH:
        apply_patch = apply_json_patch
    elif media_type == MERGE_PATCH:
        apply_patch = apply_merge_patch
    elif media_type == STRATEGIC_PATCH and (message := schema.message(api_version, kind)) is not None:
        apply_patch = partial(apply_strategic_merge, kind=message)
    elif call.target.row.custom is not None:
        listed = f"{JSON_PATCH}, {MERGE_PATCH}, {APPLY_PATCH}"
        why = f"the body of the request was in an unknown format - accepted media types include: {listed}"
        raise StatusError(415, "UnsupportedMediaType", why)
    else:
        raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    body = _decode_patch(request.body)
    policy = validation_policy(request)
    repeated: tuple[str, ...] = ()
    if policy != "Ignore":
        repeated = _repeated_in(request.body, "json patch " if media_type == JSON_PATCH else "")

    def change(current: Obj) -> Obj:
        patched = check_kind(apply_patch(current, body), api_version, kind)
        found, unknown = conform(call.target.row, patched)
        findings = Findings((*repeated, *sorted(unknown)))
        if findings and policy == "Strict":
            raise _misfit(findings, print_json(body) if media_type == STRATEGIC_PATCH else encode(patched).decode())
        if policy == "Warn":
            call.warnings.extend(findings.fields)
        return found

    return change


def _decode_patch(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: {explain_json(error)}") from error


def _repeated_in(body: bytes, prefix: str) -> tuple[str, ...]:
    try:
        return tuple(prefix + one for one in find_duplicates(body))
    except RecursionError as error:
        raise bad_request("error decoding patch: nested too deeply") from error


def _misfit(findings: Findings, shown: str) -> StatusError:
    """The 422 for what patches in fields that the kind does not have, or one twice."""
    return invalid("", "", [Cause("FieldValueInvalid", f"Invalid value: {quote(shown)}: {findings}", "patch")])
