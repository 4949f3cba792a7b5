"""What the server lets an authorised writer write: the checks that need to see the object itself."""

from __future__ import annotations

from seamark.api.authz.attributes import target_attributes
from seamark.api.authz.escalation import check_escalation
from seamark.api.authz.noderestriction import asking_node, check_node_create, check_node_removal, check_node_update
from seamark.api.certificates import check_signer, is_request, note_requestor
from seamark.api.core import Call, Core
from seamark.api.expansion import check_expansion
from seamark.api.objects import Obj, unpack_entry


async def admit_create(core: Core, call: Call, obj: Obj) -> None:
    """Raises 403, for a node beyond its own objects and for rights that the writer lacks.

    A PUT or an apply that makes what is not there takes the right to create as well.
    """
    if call.request.method in ("PUT", "PATCH"):
        asked = target_attributes(call.target, call.request)._replace(verb="create")
        await core.authorizer.check(call.identity, asked)
    if is_request(call):
        note_requestor(call, obj)
    check_node_create(call, obj)
    await check_escalation(core.authorizer, call, obj, None)


async def admit_update(core: Core, call: Call, new: Obj, old: Obj) -> None:
    if is_request(call):
        await check_signer(core, call, new, old)
    check_node_update(call, new, old)
    await check_expansion(core, call, new, old)
    await check_escalation(core.authorizer, call, new, old)


async def admit_removal(core: Core, call: Call) -> None:
    """A DELETE or an eviction; what is not there is told by the deletion itself."""
    if asking_node(call) is None:
        return
    entry = await core.store.get(key=call.target.key)
    if entry is not None:
        check_node_removal(call, unpack_entry(entry))
