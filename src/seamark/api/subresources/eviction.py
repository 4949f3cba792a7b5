"""pods/NAME/eviction: a DELETE that may be refused by a disruption budget (``kubectl drain``).

PodDisruptionBudgets are no kind of this server yet, so nothing refuses; the delete options are those of the body.
"""

from __future__ import annotations

from seamark.api.authz.admission import admit_removal
from seamark.api.body import decode_as
from seamark.api.core import Call, Core
from seamark.api.deletion import parse_delete_options
from seamark.api.metadata import check_place
from seamark.api.respond import respond_json
from seamark.api.verbs.delete import delete_object
from seamark.machinery.wire import Response


async def eviction(core: Core, call: Call) -> Response:
    body, warnings = decode_as(call, "policy/v1", "Eviction")
    check_place(call, body)
    options = parse_delete_options(body.get("deleteOptions") or {}, dict(reversed(call.request.query)))
    await admit_removal(core, call)
    await delete_object(core, call.target, options)
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    response = respond_json(success, status=201)
    response.warnings = warnings
    return response
