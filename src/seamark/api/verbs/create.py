"""POST to a collection."""

from __future__ import annotations

from seamark.api.body import decode_object
from seamark.api.core import Call, Core
from seamark.api.objects import unpack_as
from seamark.api.options import check_write_options
from seamark.api.respond import respond_entry, respond_object, served
from seamark.api.writes import Written, create_object
from seamark.machinery.wire import Response


async def create(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    obj = decode_object(call)
    written = await create_object(core, call, obj)
    return respond_written(core, call, written)


def respond_written(core: Core, call: Call, written: Written) -> Response:
    """201 for what began to exist, 200 else; a dry-run creation shows no resourceVersion."""
    status = 201 if written.created else 200
    if written.revision:
        response = respond_entry(core, call, written.value, written.revision, status=status)
    else:
        obj = unpack_as(call.target.row, written.value, 0)
        del obj["metadata"]["resourceVersion"]
        response = respond_object(core, call, served(call, obj), status=status)
    response.warnings = written.warnings
    return response
