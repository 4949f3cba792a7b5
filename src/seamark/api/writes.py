"""The way of every write: prepare, validate, allocate, store; and the retry when another writer was faster.

Order (resources/registry.py): decode, default, prepare, validate, allocate, store. A write that changes nothing is
not stored: the resourceVersion stays, no event goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from seamark.api.addresses import claim_addresses, create_with_addresses, drop_addresses, release
from seamark.api.authz.admission import admit_create, admit_update
from seamark.api.certificates import prepare_approval
from seamark.api.core import Call, Core, Target
from seamark.api.defaultclasses import give_default_class
from seamark.api.limits import admit_limits, charge_growth, charge_quotas
from seamark.api.metadata import (
    begin_create,
    begin_update,
    bump_generation,
    check_place,
    give_name,
    parse_revision,
    validate_map,
    validate_metadata,
    validate_metadata_update,
)
from seamark.api.objects import Obj, pack_as, unpack_as, unpack_entry
from seamark.api.ownership import changes_nothing, entries_of, own_fields, set_entries, without_entries
from seamark.api.times import fill_times
from seamark.machinery import schema
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.gvr import GVR
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.status import (
    Cause,
    StatusError,
    already_exists,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from seamark.machinery.strict import zeros
from seamark.resources.registry import Resource
from seamark.store.base import Entry, KeyExistsError, RevisionMismatchError

_NAME_TRIES = 8  # as apiserver since 1.30
_UPDATE_TRIES = 16

Change = Callable[[Obj], Obj]
"""The new object out of the current one, which it may change in place."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind. ``revision`` 0 = a dry run that created nothing; ``created`` decides 201."""

    value: bytes
    revision: int
    created: bool = False
    warnings: tuple[str, ...] = ()


def missing(target: Target) -> StatusError:
    return not_found(target.row.gvr.resource, target.name, group=target.gvr.group)


def refuse(row: Resource, obj: Obj, causes: list[Cause]) -> None:
    if causes:
        name = str(obj["metadata"].get("name") or obj["metadata"].get("generateName") or "")
        raise invalid(row.gvr.kind, name, causes, group=row.gvr.group)


async def create_object(core: Core, call: Call, obj: Obj) -> Written:
    """Raises Invalid, AlreadyExists, NotFound or Forbidden for the namespace, StoreWriteError."""
    row = call.target.row
    if row.custom is not None and row.custom.refuses_new:
        raise forbidden(row.gvr.resource, call.target.name, row.custom.refuses_new, group=row.gvr.group)
    check_place(call, obj)
    begin_create(core, call, obj)
    generated = give_name(core, obj)
    await check_namespace(core, call.target, obj["metadata"].get("name") or "")
    if row.default:
        row.default(obj)
    own_fields(core, call, obj, None)
    if row.prepare_create:
        row.prepare_create(obj)
    await give_default_class(core, call, obj)
    await admit_create(core, call, obj)
    await _admit(core, row, obj)
    await admit_limits(core, call, obj)
    causes = validate_metadata(row, obj) + (row.validate(obj) if row.validate else [])
    refuse(row, obj, causes + (row.validate_create(obj) if row.validate_create else []))
    await charge_quotas(core, call, obj)
    warnings = tuple(row.warnings(obj)) if row.warnings else ()
    for left in reversed(range(_NAME_TRIES if generated else 1)):
        try:
            return await _insert(core, call, obj, warnings)
        except StatusError as error:
            if error.reason != "AlreadyExists" or not left:
                raise
            obj["metadata"]["name"] = ""
            give_name(core, obj)
    raise AssertionError("unreachable")


async def _admit(core: Core, row: Resource, obj: Obj) -> None:
    """Lets the row judge the object, by the others it names if it names any. Raises what ``admit`` raises."""
    if row.admit is None:
        return
    found: list[Obj | None] = []
    for gvr, namespace, name in row.references(obj) if row.references else ():
        holder = core.registry.find(gvr.group, gvr.version, gvr.resource)
        entry = await core.store.get(key=holder[0].key(namespace, name)) if holder else None
        found.append(unpack_entry(entry) if entry else None)
    row.admit(obj, found)


async def _exists(core: Core, row: Resource, key: str, name: str) -> StatusError:
    """409; of an object that only waits for its end it is said."""
    error = already_exists(row.gvr.resource, name, group=row.gvr.group)
    entry = await core.store.get(key=key)
    if entry and unpack_entry(entry)["metadata"].get("deletionTimestamp"):
        error.message = f"object is being deleted: {error.message}"
    return error


async def _insert(core: Core, call: Call, obj: Obj, warnings: tuple[str, ...]) -> Written:
    row, name = call.target.row, obj["metadata"]["name"]
    key = row.key(call.target.namespace, name)
    if row.allocate:
        await core.addresses.follow()
    with core.pools.reserve(None) as reservation:
        if row.allocate:
            refuse(row, obj, row.allocate(obj, None, reservation))
        value = pack_as(row, obj)
        if call.dry_run:
            if await core.store.get(key=key):
                raise await _exists(core, row, key, name)
            return Written(value, 0, created=True, warnings=warnings)
        try:
            entry = await create_with_addresses(core, obj, reservation, key=key, value=value)
        except KeyExistsError:
            raise await _exists(core, row, key, name) from None
        reservation.commit()
    return Written(value, entry.revision, created=True, warnings=warnings)


async def check_namespace(core: Core, target: Target, name: str) -> None:
    """NamespaceLifecycle: the namespace must exist, and nothing new goes into one that is being deleted."""
    if not target.namespace or target.row.gvr.kind == "Namespace":
        return
    found = core.registry.by_kind("", "Namespace")
    entry = await core.store.get(key=found.key("", target.namespace)) if found else None
    if entry is None:
        raise not_found("namespaces", target.namespace)
    namespace = unpack_entry(entry)
    if namespace["metadata"].get("deletionTimestamp"):
        error = forbidden(
            target.row.gvr.resource,
            name,
            f"unable to create new content in namespace {target.namespace} because it is being terminated",
            group=target.row.gvr.group,
        )
        why = Cause("NamespaceTerminating", f"namespace {target.namespace} is being terminated", "metadata.namespace")
        error.details["causes"] = [why.as_dict()]
        raise error


async def update_object(core: Core, call: Call, change: Change, *, retry: bool) -> Written:
    """Applies ``change`` to the current object and stores it.

    A resourceVersion in the changed object must be the current one, else it is a Conflict. When another writer comes
    between, ``retry`` applies the change anew (a patch); without it only a write that names no revision does.
    Raises NotFound, Conflict, Invalid, StoreWriteError.
    """
    target = call.target
    for _ in range(_UPDATE_TRIES):
        entry = await core.store.get(key=target.key)
        if entry is None:
            raise missing(target)
        old = unpack_as(target.row, entry.value, entry.revision)
        new = change(unpack_as(target.row, entry.value, entry.revision))
        conditional = _check_preconditions(target, new, old, entry)
        written = await _replace(core, call, new, old, entry)
        if written is not None:
            return written
        if conditional and not retry:
            break
    raise conflict(target.row.gvr.resource, target.name, group=target.row.gvr.group)


def _check_preconditions(target: Target, new: Obj, old: Obj, entry: Entry) -> bool:
    """Whether the write names a revision; it must be the current one. Raises Conflict."""
    row, meta = target.row, new["metadata"]
    uid = meta.get("uid")
    if uid and uid != old["metadata"].get("uid"):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata'].get('uid')}"
        raise conflict(row.gvr.resource, target.name, group=row.gvr.group, why=why)
    revision = parse_revision(meta.get("resourceVersion") or "")
    if not revision and not row.unconditional_update:
        cause = invalid_cause("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid(row.gvr.resource, target.name, [cause], group=row.gvr.group)  # Kubernetes names no kind here
    if revision and revision != entry.revision:
        raise conflict(row.gvr.resource, target.name, group=row.gvr.group)
    return bool(revision)


async def _replace(core: Core, call: Call, new: Obj, old: Obj, entry: Entry) -> Written | None:
    """Stores ``new`` over ``entry``; None when somebody else did meanwhile."""
    row, target = call.target.row, call.target
    begin_update(core, call, new, old)
    causes = _prepare(core, call, new, old)
    await admit_update(core, call, new, old)
    refuse(row, new, causes)
    await charge_growth(core, call, new, old)
    warnings = tuple(row.warnings(new)) if row.warnings else ()
    if row.allocate:
        await core.addresses.follow()
    with core.pools.reserve(old) as reservation:
        if row.allocate and not target.subresource:
            refuse(row, new, row.allocate(new, old, reservation))
        if target.subresource != "status":
            bump_generation(row, new, old)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if changes_nothing(new, old):
            return Written(entry.value, entry.revision, warnings=warnings)
        value = pack_as(row, new)
        if call.dry_run:
            return Written(value, entry.revision, warnings=warnings)
        await claim_addresses(core, new, reservation)
        try:
            if is_gone(new):
                event = await core.store.delete(key=target.key, expected=entry.revision)
                revision = event.revision
            else:
                revision = (await core.store.update(key=target.key, value=value, expected=entry.revision)).revision
        except RevisionMismatchError:
            await drop_addresses(core, reservation.new_ips)
            return None
        await drop_addresses(core, reservation.freed_ips)
        reservation.commit()
    if is_gone(new) and row.allocate:
        await release(core, new)
    return Written(value, revision, warnings=warnings)


def _prepare(core: Core, call: Call, new: Obj, old: Obj) -> list[Cause]:
    """Puts back what this write may not change, fills defaults, and tells what is wrong with the result."""
    row, subresource = call.target.row, call.target.subresource
    if subresource == "status":
        sent, kept = new["metadata"], without_entries(old)
        if isinstance(status := new.get("status"), dict):
            new["status"] = {**status_zeros(row.gvr), **status}
        for field in (new.keys() | old.keys()) - {"status"}:
            _keep(new, kept, field)
        set_entries(new, entries_of({"metadata": sent}))
        causes = [] if row.custom else _keep_status_annotations(new, sent.get("annotations"))
        own_fields(core, call, new, old)
        if row.prepare_status:
            row.prepare_status(new, old)
        fill_times(core, call, new, old)
        return causes + (row.validate_status(new, old) if row.validate_status else [])
    part = row.parts.get(subresource)
    if part is not None:
        own_fields(core, call, new, old)
        part.prepare(new, old)
        return part.validate(new, old)
    if subresource == "approval":
        causes = prepare_approval(new, old)
        own_fields(core, call, new, old)
        fill_times(core, call, new, old)
        return causes
    if subresource not in ("", "scale"):
        own_fields(core, call, new, old)
        return []  # binding and finalize change one field by their own rules
    if "status" in row.subresources:
        _keep(new, old, "status")
    if row.default:
        row.default(new)
    own_fields(core, call, new, old)
    if row.prepare_update:
        row.prepare_update(new, old)
    causes = validate_metadata(row, new) + validate_metadata_update(new, old)
    causes += row.validate(new) if row.validate else []
    return causes + (row.validate_update(new, old) if row.validate_update else [])


@cache
def status_zeros(gvr: GVR) -> Obj:
    """The counts of a kind's status that Kubernetes writes though they are zero: its other fields are left out then."""
    message = schema.message(gvr.api_version, gvr.kind)
    field = message.fields.get("status") if message is not None else None
    return zeros(schema.named(field.type)) if field is not None else {}


def _keep_status_annotations(new: Obj, annotations: Any) -> list[Cause]:
    """Annotations alone may be written along with a status: controllers keep notes there (a Deployment's revision)."""
    new["metadata"].pop("annotations", None)
    if not annotations:
        return []
    new["metadata"]["annotations"] = annotations
    return validate_map(new["metadata"], "annotations")


def _keep(new: Obj, old: Obj, field: str) -> None:
    new.pop(field, None)
    if field in old:
        new[field] = copy_json(old[field])


def is_gone(obj: Obj) -> bool:
    """Whether a marked object has nothing left to wait for: no finalizers, no grace period running."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers"))
