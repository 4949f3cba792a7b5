"""GET of one object."""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.respond import respond_entry
from seamark.api.writes import missing
from seamark.machinery.wire import Response


async def get(core: Core, call: Call) -> Response:
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    return respond_entry(core, call, entry.value, entry.revision)
