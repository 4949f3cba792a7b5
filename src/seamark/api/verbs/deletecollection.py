"""DELETE of a collection: every object that fits the selectors, each as a DELETE of its own."""

from __future__ import annotations

from dataclasses import replace

from seamark.api.core import Call, Core
from seamark.api.respond import respond_list
from seamark.api.selection import parse_selection
from seamark.api.verbs.delete import delete_object, delete_options
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Response


async def deletecollection(core: Core, call: Call) -> Response:
    """Answers the list of what was deleted, as it was before."""
    selection = parse_selection(call.request, call.target)
    options = delete_options(call)
    page = await core.store.list(prefix=call.target.prefix)
    deleted = []
    for entry in page.entries:
        if not selection.matches(entry.key, entry.value):
            continue
        target = replace(call.target, name=entry.key.rpartition("/")[2])
        try:
            await delete_object(core, target, options)
        except StatusError as error:
            if error.reason != "NotFound":  # somebody else was faster, which is what was asked for
                raise
        deleted.append((entry.value, entry.revision))
    return respond_list(core, call, deleted, {"resourceVersion": str(page.revision)})
