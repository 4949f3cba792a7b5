"""GET of a collection: selectors, pages from one snapshot, resourceVersion rules.

A continue token names the snapshot's revision and the last key shown, so later pages neither miss nor repeat. When
the snapshot is compacted meanwhile the answer is 410 with a token that goes on from the newest state.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from seamark.api.core import Call, Core
from seamark.api.options import parse_integer, parse_revision_text
from seamark.api.respond import representation, respond_encoded, respond_list
from seamark.api.selection import Selection, parse_selection
from seamark.machinery.status import Cause, StatusError, bad_request, expired, invalid
from seamark.machinery.wire import Request, Response
from seamark.store.base import CompactedError, Entry, Page

FUTURE_WAIT = 3.0  # seconds a list waits for a revision that is not there yet
_LATEST = -1
_EXPIRED = "The provided continue parameter is too old to display a consistent list result."


@dataclass(frozen=True, slots=True)
class Continue:
    """``revision`` -1 = the newest state (after an expired token); ``after`` is the last key shown."""

    revision: int
    after: str


@dataclass(frozen=True, slots=True)
class ListOptions:
    limit: int = 0
    token: Continue | None = None
    not_older_than: int = 0
    exact: int = 0


async def list_collection(core: Core, call: Call) -> Response:
    selection = parse_selection(call.request, call.target)
    options = parse_options(call.request)
    after = _after(call, options.token)
    revision = options.exact or (options.token.revision if options.token else 0)
    await wait_for_revision(core, max(options.not_older_than, revision))
    try:
        page = await core.store.list(
            prefix=call.target.prefix,
            after=after,
            limit=options.limit if selection.everything else 0,
            revision=max(revision, 0),
        )
    except CompactedError as error:
        if options.token is None:
            raise expired("The resourceVersion for the provided list is too old.") from error
        return _respond_expired(call, options.token)
    entries, more = select_entries(page, selection, options.limit)
    meta: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if more:
        meta["continue"] = render_token(Continue(page.revision, _relative(call, entries[-1].key)))
        if selection.everything:
            meta["remainingItemCount"] = page.remaining
    return respond_list(core, call, [(e.value, e.revision) for e in entries], meta)


def select_entries(page: Page, selection: Selection, limit: int) -> tuple[Sequence[Entry], bool]:
    """The entries that fit, at most ``limit``, and whether there are more behind them."""
    if selection.everything:
        return page.entries, page.remaining > 0
    found: list[Entry] = []
    for entry in page.entries:
        if selection.matches(entry.key, entry.value):
            if limit and len(found) == limit:
                return found, True
            found.append(entry)
    return found, False


def parse_options(request: Request) -> ListOptions:
    """Raises 400 and 422 for what ListOptions validation refuses."""
    limit = max(0, parse_integer(request, "limit"))
    parse_integer(request, "timeoutSeconds")  # for watches, but no nonsense here either
    asked, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    token = parse_token(request.param("continue"))
    if request.param("sendInitialEvents"):
        raise _invalid("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
    _check_match(match, asked, has_token=token is not None)
    revision = parse_revision(request)
    if token and revision:
        raise bad_request("specifying resource version is not allowed when using continue")
    if asked and not revision:
        limit = 0  # "any": apiserver answers from its cache, whole
    if match == "Exact" or (revision and limit and not match):
        return ListOptions(limit, token, exact=revision)
    return ListOptions(limit, token, not_older_than=revision)


def _check_match(match: str, asked: str, *, has_token: bool) -> None:
    """Raises 422."""
    if not match:
        return
    if not asked:
        why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif has_token:
        why = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
    elif match not in ("Exact", "NotOlderThan"):
        why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
    elif match == "Exact" and asked == "0":
        why = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    else:
        return
    raise _invalid("resourceVersionMatch", why)


def _invalid(field: str, message: str) -> StatusError:
    reason = "FieldValueForbidden" if message.startswith("Forbidden") else "FieldValueNotSupported"
    return invalid("ListOptions", "", [Cause(reason, message, field)], group="meta.k8s.io")


def parse_revision(request: Request) -> int:
    """The resourceVersion that a get or a list asks for. Raises 400."""
    try:
        return parse_revision_text(request.param("resourceVersion"))
    except ValueError as error:
        raise bad_request(f"invalid resource version: {error}") from None


async def wait_for_revision(core: Core, revision: int) -> None:
    """Waits for a revision the client saw elsewhere; 504 when it does not come (it is from another cluster)."""
    deadline = core.clock.monotonic() + FUTURE_WAIT
    while (current := await core.store.revision()) < revision:
        if core.clock.monotonic() >= deadline:
            raise StatusError(
                504,
                "Timeout",
                f"Timeout: Too large resource version: {revision}, current: {current}",
                details={
                    "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                    "retryAfterSeconds": 1,
                },
            )
        await core.clock.sleep(0.1)
        await asyncio.sleep(0)


def _relative(call: Call, key: str) -> str:
    return key.removeprefix(call.target.prefix)


def _after(call: Call, token: Continue | None) -> str:
    return call.target.prefix + token.after if token else ""


def render_token(token: Continue) -> str:
    body = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": token.revision, "start": token.after})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def parse_token(text: str) -> Continue | None:
    """Raises 400 for what is no token of ours."""
    if not text:
        return None
    try:
        value = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        revision, start = value["rv"], value["start"]
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
    if not isinstance(revision, int) or not isinstance(start, str) or revision < _LATEST or revision == 0:
        raise bad_request("invalid continue token: continue key is not valid: not one that this server made")
    return Continue(revision, start)


def _respond_expired(call: Call, token: Continue) -> Response:
    body = {**expired(_EXPIRED).as_dict(), "metadata": {"continue": render_token(Continue(_LATEST, token.after))}}
    return respond_encoded(body, representation(call).media_type, status=410)
