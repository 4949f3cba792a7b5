"""…/status: the object, of which a write changes the status alone."""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.verbs.get import get
from seamark.api.verbs.patch import patch
from seamark.api.verbs.update import update
from seamark.machinery.wire import Response


async def get_status(core: Core, call: Call) -> Response:
    return await get(core, call)


async def update_status(core: Core, call: Call) -> Response:
    return await update(core, call)


async def patch_status(core: Core, call: Call) -> Response:
    return await patch(core, call)
