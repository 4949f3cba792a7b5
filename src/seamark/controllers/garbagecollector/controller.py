"""Garbage collection: wiring. A graph of owners over everything the controllers watch.

Before an object is deleted for want of owners, the API server is asked whether they are really gone: a cache may lag,
and a wrong answer here is not to be mended. Owners of kinds that are not watched here count as there.
"""

from __future__ import annotations

from functools import partial

from seamark.controllers.caches import Caches
from seamark.controllers.garbagecollector.plan import (
    FOREGROUND,
    Delete,
    DeleteDependents,
    DropFinalizer,
    DropOwners,
    OrphanDependents,
    OwnerState,
    drop_owners_patch,
    plan_object,
)
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey, OwnerReference

Item = tuple[GVR, ObjectKey]


class GarbageCollector:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._by_uid: dict[str, Item] = {}
        self._dependents: dict[str, dict[Item, None]] = {}
        self._gvrs = {(gvr.group, gvr.kind): gvr for gvr in caches.all}
        self.controller: Controller[Item] = Controller(
            "garbagecollector", self.reconcile, clock=caches.clock, workers=4
        )
        for gvr, informer in caches.all.items():
            informer.on_change(partial(self._note, gvr))

    def _note(self, gvr: GVR, old: Object | None, new: Object | None, seen: float) -> None:
        add = self.controller.queue.add
        if old is not None:
            self._file(gvr, old, owned=False)
        if new is not None:
            self._file(gvr, new, owned=True)
            if new.metadata.owner_references or new.metadata.deletion_timestamp:
                add((gvr, new.key))
        for reference in (old.metadata.owner_references or ()) if old is not None else ():
            owner = self._by_uid.get(reference.uid)  # it may wait for this one
            if owner is not None and self._is_ending(owner):
                add(owner)
        if new is None and old is not None:
            for item in self._dependents.get(old.metadata.uid, ()):
                add(item)

    def _file(self, gvr: GVR, obj: Object, *, owned: bool) -> None:
        item = (gvr, obj.key)
        if owned:
            self._by_uid[obj.metadata.uid] = item
        elif self._by_uid.get(obj.metadata.uid) == item:
            del self._by_uid[obj.metadata.uid]
        for reference in obj.metadata.owner_references or ():
            if owned:
                self._dependents.setdefault(reference.uid, {})[item] = None
                continue
            found = self._dependents.get(reference.uid, {})
            found.pop(item, None)
            if not found:
                self._dependents.pop(reference.uid, None)

    def _is_ending(self, item: Item) -> bool:
        obj = self._find(item)
        return obj is not None and obj.metadata.deletion_timestamp is not None

    def _find(self, item: Item) -> Object | None:
        found: Object | None = self._caches.all[item[0]].get(item[1])
        return found

    async def reconcile(self, item: Item) -> float | None:
        gvr, key = item
        obj = self._find(item)
        if obj is None:
            return None
        dependents = self._dependents_of(obj)
        blocking = [found for found in dependents if self._blocks(found, obj)]
        owners = [(ref, await self._state(obj, ref)) for ref in obj.metadata.owner_references or ()]
        caches = self._caches
        match plan_object(obj, owners, dependents=len(dependents), blocking=len(blocking)):
            case Delete(policy):
                await caches.delete(gvr, obj, options={"propagationPolicy": policy})
            case DropOwners(patch) | DropFinalizer(patch):
                await caches.patch(gvr, key, patch)
            case DeleteDependents():
                for found in blocking:
                    self.controller.queue.add(found)
            case OrphanDependents():
                for found in dependents:
                    await self._orphan(found, obj)
        return None

    def _dependents_of(self, obj: Object) -> list[Item]:
        return [item for item in self._dependents.get(obj.metadata.uid, ()) if self._find(item) is not None]

    def _blocks(self, item: Item, owner: Object) -> bool:
        found = self._find(item)
        references = (found.metadata.owner_references or ()) if found is not None else ()
        return any(ref.uid == owner.metadata.uid and ref.block_owner_deletion for ref in references)

    async def _orphan(self, item: Item, owner: Object) -> None:
        found = self._find(item)
        if found is not None:
            await self._caches.patch(item[0], item[1], drop_owners_patch(found, {owner.metadata.uid}))

    async def _state(self, obj: Object, ref: OwnerReference) -> OwnerState:
        gvr = self._gvrs.get((ref.api_version.rpartition("/")[0], ref.kind))
        if gvr is None:
            return "there"
        item = self._by_uid.get(ref.uid)
        owner = self._find(item) if item is not None else None
        if owner is None:
            return await self._ask(gvr, obj, ref)
        if gvr.namespaced and owner.metadata.namespace != obj.metadata.namespace:
            return "gone"  # an owner lives in the same namespace or in none
        ending = owner.metadata.deletion_timestamp is not None
        return "waiting" if ending and FOREGROUND in (owner.metadata.finalizers or ()) else "there"

    async def _ask(self, gvr: GVR, obj: Object, ref: OwnerReference) -> OwnerState:
        namespace = obj.metadata.namespace if gvr.namespaced else ""
        if gvr.namespaced and not namespace:
            return "gone"
        try:
            found = await self._caches.client.get(gvr, ref.name, namespace=namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return "gone"
        return "there" if found["metadata"].get("uid") == ref.uid else "gone"
