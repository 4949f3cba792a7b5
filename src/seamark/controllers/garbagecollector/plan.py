"""One object, the state of its owners and its dependents -> what to do with it.

* *background*: an object whose owners are all gone is deleted.
* *foreground*: an owner waits (finalizer ``foregroundDeletion``) until the dependents that block it are gone; they are
  deleted meanwhile. One whose own dependents are being deleted so may be in a circle: it ceases to block its owners.
* *orphan*: the finalizer ``orphan`` first takes the owner out of its dependents' references, then goes.

An object with an owner left only loses the references to those that are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from seamark.model.meta import Object, OwnerReference

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"

OwnerState = Literal["there", "gone", "waiting"]
"""``waiting``: the owner is being deleted in the foreground, and this object holds it up."""


class Delete(NamedTuple):
    """The object itself, with this propagation policy; ``unblock`` is applied first."""

    policy: str
    unblock: dict[str, Any] | None = None


class DropOwners(NamedTuple):
    patch: dict[str, Any]


class DropFinalizer(NamedTuple):
    patch: dict[str, Any]


class DeleteDependents(NamedTuple):
    """Those that hold the object up and are not being deleted; it is looked at again when one is gone."""


class OrphanDependents(NamedTuple):
    """The references to this object, out of all its dependents."""


Action = Delete | DropOwners | DropFinalizer | DeleteDependents | OrphanDependents


def plan_object(
    obj: Object, owners: Sequence[tuple[OwnerReference, OwnerState]], *, dependents: Sequence[Object]
) -> Action | None:
    """``dependents``: all objects that name this one as an owner."""
    finalizers = obj.metadata.finalizers or []
    if obj.metadata.deletion_timestamp is not None:
        if ORPHAN in finalizers:
            return OrphanDependents() if dependents else _drop_finalizer(obj, ORPHAN)
        if FOREGROUND in finalizers:
            blocked = any(blocks(dependent, obj) for dependent in dependents)
            return DeleteDependents() if blocked else _drop_finalizer(obj, FOREGROUND)
        return None
    states = [state for _, state in owners]
    if not states or set(states) == {"there"}:
        return None
    if "there" in states:
        return DropOwners(drop_owners_patch(obj, {ref.uid for ref, state in owners if state != "there"}))
    if "waiting" in states and dependents:
        circular = any(is_deleting_dependents(dependent) for dependent in dependents)
        return Delete("Foreground", _unblock_patch(obj) if circular else None)
    if ORPHAN in finalizers:
        return Delete("Orphan")
    return Delete("Foreground" if FOREGROUND in finalizers else "Background")


def _drop_finalizer(obj: Object, name: str) -> DropFinalizer:
    left = [f for f in obj.metadata.finalizers or () if f != name]
    meta = {"resourceVersion": obj.metadata.resource_version, "finalizers": left or None}
    return DropFinalizer({"metadata": meta})


def blocks(dependent: Object, owner: Object) -> bool:
    """A foreground deletion of ``owner`` waits for ``dependent``."""
    uid = owner.metadata.uid
    return any(ref.uid == uid and ref.block_owner_deletion for ref in dependent.metadata.owner_references or ())


def is_deleting_dependents(obj: Object) -> bool:
    return obj.metadata.deletion_timestamp is not None and FOREGROUND in (obj.metadata.finalizers or ())


def _unblock_patch(obj: Object) -> dict[str, Any] | None:
    """None where it blocks no owner."""
    references = obj.metadata.owner_references or ()
    if not any(ref.block_owner_deletion for ref in references):
        return None
    return _references_patch(obj, [{**_reference(ref), "blockOwnerDeletion": False} for ref in references])


def drop_owners_patch(obj: Object, uids: set[str]) -> dict[str, Any]:
    left = [_reference(ref) for ref in obj.metadata.owner_references or () if ref.uid not in uids]
    return _references_patch(obj, left or None)


def _reference(ref: OwnerReference) -> dict[str, Any]:
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "name": ref.name,
        "uid": ref.uid,
        **({"controller": True} if ref.controller else {}),
        **({"blockOwnerDeletion": True} if ref.block_owner_deletion else {}),
    }


def _references_patch(obj: Object, references: list[dict[str, Any]] | None) -> dict[str, Any]:
    meta = obj.metadata
    return {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "ownerReferences": references}}
