"""namespaces/NAME/finalize: takes away the namespace's own finalizers; with the last one it is gone."""

from __future__ import annotations

from seamark.api.body import decode_object
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj
from seamark.api.options import check_write_options
from seamark.api.verbs.create import respond_written
from seamark.api.writes import update_object
from seamark.machinery.status import bad_request
from seamark.machinery.wire import Response


async def finalize(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    body = decode_object(call)
    check_place(call, body)
    finalizers = (body.get("spec") or {}).get("finalizers") or []
    if not isinstance(finalizers, list):
        raise bad_request("spec.finalizers must be a list of strings")

    def change(current: Obj) -> Obj:
        current["spec"] = {**(current.get("spec") or {}), "finalizers": list(finalizers)}
        current["metadata"]["resourceVersion"] = body["metadata"].get("resourceVersion") or ""
        return current

    written = await update_object(core, call, change, retry=False)
    return respond_written(core, call, written)
