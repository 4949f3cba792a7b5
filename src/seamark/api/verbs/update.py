"""PUT: the whole object anew, conditional on its resourceVersion where it has one."""

from __future__ import annotations

from seamark.api.body import decode_object
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj
from seamark.api.options import check_write_options
from seamark.api.ownership import copy_object
from seamark.api.verbs.create import respond_written
from seamark.api.writes import create_object, update_object
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Response


async def update(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    body = decode_object(call)
    check_place(call, body)

    def change(_: Obj) -> Obj:
        return copy_object(body)

    try:
        written = await update_object(core, call, change, retry=False)
    except StatusError as error:
        row = call.target.row
        may_create = row.allows_create_on_update and not call.target.subresource
        if error.reason != "NotFound" or not may_create or body["metadata"].get("resourceVersion"):
            raise
        written = await create_object(core, call, body)
    return respond_written(core, call, written)
