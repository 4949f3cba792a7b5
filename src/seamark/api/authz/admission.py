"""What the server lets an authorised writer write: the checks that need to see the object itself."""

from __future__ import annotations

from seamark.api.authz.escalation import check_escalation
from seamark.api.authz.noderestriction import check_node_create, check_node_update
from seamark.api.core import Call, Core
from seamark.api.objects import Obj


async def admit_create(core: Core, call: Call, obj: Obj) -> None:
    """Raises 403, for a node beyond its own objects and for rights that the writer lacks."""
    check_node_create(call, obj)
    await check_escalation(core.authorizer, call, obj, None)


async def admit_update(core: Core, call: Call, new: Obj, old: Obj) -> None:
    check_node_update(call, new, old)
    await check_escalation(core.authorizer, call, new, old)
