"""GET of one object; a resourceVersion asks for one that is not older, and waits for it a little."""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.respond import respond_entry
from seamark.api.verbs.list import parse_revision, wait_for_revision
from seamark.api.writes import missing
from seamark.machinery.wire import Response


async def get(core: Core, call: Call) -> Response:
    if call.request.query:
        await wait_for_revision(core, parse_revision(call.request))
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    return respond_entry(core, call, entry.value, entry.revision)
