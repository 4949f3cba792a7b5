"""Writes the default roles and bindings at each start of the API server, straight into the store.

A cluster made before there were roles gets them so; all writes go out together and share a sync or two. The namespaces
of the few that have one are made by the bootstrap controller a moment later, and cannot be deleted.
"""

from __future__ import annotations

import asyncio

from seamark.api.authz.defaults import default_objects, must_remake, plan_default
from seamark.api.core import Call, Core, Target
from seamark.api.metadata import begin_create
from seamark.api.objects import Obj, pack, unpack_entry
from seamark.api.ownership import own_fields
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request
from seamark.resources.rbac.rules import GROUP
from seamark.store.base import Entry, KeyExistsError, RevisionMismatchError

_WHO = Identity("system:apiserver", (ADMIN_GROUP,))
_REQUEST = Request("POST", f"/apis/{GROUP}/v1", headers={"user-agent": "kube-apiserver"}, identity=_WHO)


async def write_defaults(core: Core) -> None:
    """Does nothing where the kinds are not served. Raises StoreWriteError."""
    await asyncio.gather(*[_write(core, obj) for obj in default_objects()])


async def _write(core: Core, wanted: Obj) -> None:
    row = core.registry.by_kind(GROUP, wanted["kind"])
    if row is None:
        return
    meta = wanted["metadata"]
    call = Call(_REQUEST, Target(row, row.gvr, meta.get("namespace", ""), meta["name"]), _WHO)
    entry = await core.store.get(key=call.target.key)
    try:
        if entry is None:
            begin_create(core, call, wanted)
            own_fields(core, call, wanted, None)
            await core.store.create(key=call.target.key, value=pack(wanted))
        else:
            await _bring_up_to_date(core, call, entry, wanted)
    except (KeyExistsError, RevisionMismatchError):
        pass  # another API server on the same store was faster, with the same


async def _bring_up_to_date(core: Core, call: Call, entry: Entry, wanted: Obj) -> None:
    existing, key = unpack_entry(entry), call.target.key
    if "roleRef" in wanted and must_remake(existing, wanted):
        await core.store.delete(key=key, expected=entry.revision)
        begin_create(core, call, wanted)
        own_fields(core, call, wanted, None)
        await core.store.create(key=key, value=pack(wanted))
        return
    new = plan_default(existing, wanted)
    if new is not None:
        own_fields(core, call, new, existing)
        await core.store.update(key=key, value=pack(new), expected=entry.revision)
