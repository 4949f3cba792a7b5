"""DELETE of one object: marked or removed (see ``api/deletion.py``), answered by the object or a Status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.api.addresses import release
from seamark.api.authz.admission import admit_removal
from seamark.api.body import decode_body
from seamark.api.core import Call, Core, Target
from seamark.api.deletion import DeleteOptions, check_preconditions, parse_delete_options, plan_deletion
from seamark.api.objects import Obj, pack_as, same, unpack_as
from seamark.api.respond import respond_object, respond_success, served
from seamark.api.writes import missing
from seamark.machinery import schema
from seamark.machinery.status import conflict, forbidden
from seamark.machinery.strict import conform_object
from seamark.machinery.wire import Response
from seamark.store.base import Entry, RevisionMismatchError

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
_TRIES = 16


@dataclass(frozen=True, slots=True)
class Deleted:
    """``gone`` False = only marked, it waits for its finalizers or its grace period."""

    obj: Obj
    gone: bool


async def delete(core: Core, call: Call) -> Response:
    options = delete_options(call)
    await admit_removal(core, call)
    deleted = await delete_object(core, call.target, options)
    row = call.target.row
    if not deleted.gone or row.returns_object_on_delete:
        return respond_object(core, call, served(call, deleted.obj))
    return respond_success(call, details=_details(call.target, deleted.obj))


def delete_options(call: Call) -> DeleteOptions:
    body: Any = decode_body(call.request, "v1", "DeleteOptions") if call.request.body else {}
    message = schema.message("v1", "DeleteOptions")
    if message is not None:
        body, _ = conform_object(body, message)
    return parse_delete_options(body, dict(reversed(call.request.query)))


def _details(target: Target, obj: Obj) -> dict[str, Any]:
    details = {"name": obj["metadata"]["name"], "kind": target.gvr.resource, "uid": obj["metadata"].get("uid", "")}
    if target.gvr.group:
        details["group"] = target.gvr.group
    return details


async def delete_object(core: Core, target: Target, options: DeleteOptions) -> Deleted:
    """Raises NotFound, Conflict for a failed precondition, Forbidden for the namespaces that must stay."""
    row = target.row
    if row.gvr.kind == "Namespace" and target.name in PROTECTED_NAMESPACES:
        raise forbidden("namespaces", target.name, "this namespace may not be deleted")
    for _ in range(_TRIES):
        entry = await core.store.get(key=target.key)
        if entry is None:
            raise missing(target)
        try:
            return await _delete_entry(core, target, options, entry)
        except RevisionMismatchError:
            continue
    raise conflict(row.gvr.resource, target.name, group=row.gvr.group)


async def _delete_entry(core: Core, target: Target, options: DeleteOptions, entry: Entry) -> Deleted:
    row = target.row
    obj = unpack_as(row, entry.value, entry.revision)
    check_preconditions(row, obj, options)
    plan = plan_deletion(row, obj, options, now=core.clock.time())
    if plan.marked is not None:
        if options.dry_run or same(plan.marked, obj):
            return Deleted(plan.marked, gone=False)
        stored = await core.store.update(key=target.key, value=pack_as(row, plan.marked), expected=entry.revision)
        return Deleted(unpack_as(row, stored.value, stored.revision), gone=False)
    if not options.dry_run:
        await core.store.delete(key=target.key, expected=entry.revision)
        if row.allocate:
            await release(core, obj)
    return Deleted(plan.shown if row.gvr.kind == "Pod" else obj, gone=True)
