"""Writing claims, and finding whose business a changed object is: wiring that the set controllers share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.history import plan_history
from seamark.controllers.owners import (
    Claims,
    adopt_patch,
    compile_selector,
    controller_of,
    owner_reference,
    release_patch,
)
from seamark.machinery.gvr import CONTROLLERREVISIONS, GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey

T = TypeVar("T", bound=Object)

MAX_COLLISIONS = 16


async def apply_claims(caches: Caches, gvr: GVR, owner: Object, owner_gvr: GVR, claims: Claims[T]) -> None:
    """Adopts and releases; one that is gone, or changed under us, is left to the next event."""
    reference = owner_reference(owner, owner_gvr)
    patches = [(item, adopt_patch(item, reference)) for item in claims.adopt]
    patches += [(item, release_patch(item, owner.metadata.uid)) for item in claims.release]
    for item, patch in patches:
        try:
            await caches.patch(gvr, item.key, patch)
        except StatusError as error:
            if error.code not in (404, 409, 422):
                raise


def owner_keys(owner_gvr: GVR, owners_in: Index[Any], old: Object | None, new: Object | None) -> Iterator[ObjectKey]:
    """The sets of one kind that a change concerns: the controllers before and after, or for an orphan those whose
    selector matches it.
    """
    for item in (old, new):
        reference = controller_of(item) if item is not None else None
        if reference is not None and item is not None and _is_of(reference.api_version, reference.kind, owner_gvr):
            yield ObjectKey(item.metadata.namespace, reference.name)
    if new is not None and controller_of(new) is None and not new.metadata.deletion_timestamp:
        for owner in owners_in.get(new.metadata.namespace):
            selector = compile_selector(owner.spec.selector)
            if selector is not None and selector.matches(new.metadata.labels):
                yield owner.key


def _is_of(api_version: str, kind: str, gvr: GVR) -> bool:
    """Any version of the group: an object keeps the reference it was given."""
    return kind == gvr.kind and api_version.rpartition("/")[0] == gvr.group


async def apply_history(
    caches: Caches, owner: Object, gvr: GVR, template: dict[str, Any], collisions: int | None
) -> str:
    """Makes sure that the present template is the latest ControllerRevision, and gives its name.

    Where the name is taken by a different template, the next number of collisions is tried.
    """
    count = collisions or 0
    while True:
        plan = plan_history(owner, gvr, template, caches.revisions_of.get(owner.metadata.uid), count)
        if plan.promote is not None:
            revision, number = plan.promote
            await caches.patch(CONTROLLERREVISIONS, revision.key, {"revision": number})
        if plan.create is None or owner.metadata.deletion_timestamp is not None:
            return plan.name
        try:
            await caches.create(CONTROLLERREVISIONS, plan.create)
            return plan.name
        except StatusError as error:
            if error.reason != "AlreadyExists" or count >= MAX_COLLISIONS:
                raise
            count += 1
