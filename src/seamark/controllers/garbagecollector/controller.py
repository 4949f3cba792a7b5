"""Garbage collection: wiring.

Before an object is deleted for want of owners, the API server is asked whether they are really gone: a cache may lag,
and a wrong answer here is not to be mended. Owners of kinds that are not watched here count as there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from seamark.client.informer import Informer
from seamark.controllers.caches import Caches
from seamark.controllers.garbagecollector.graph import Item, OwnerGraph
from seamark.controllers.garbagecollector.plan import (
    FOREGROUND,
    Delete,
    DeleteDependents,
    DropFinalizer,
    DropOwners,
    OrphanDependents,
    OwnerState,
    blocks,
    drop_owners_patch,
    is_deleting_dependents,
    plan_object,
)
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, OwnerReference


class GarbageCollector:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._graph = OwnerGraph(caches.all)
        self._gvrs: dict[tuple[str, str], GVR] = {}
        self.controller: Controller[Item] = Controller(
            "garbagecollector", self.reconcile, clock=caches.clock, workers=4
        )
        caches.on_kind(self._begin)

    def _begin(self, gvr: GVR, informer: Informer[Any]) -> None:
        self._gvrs[gvr.group, gvr.kind] = gvr
        informer.on_change(partial(self._note, gvr))

    def _note(self, gvr: GVR, old: Object | None, new: Object | None, seen: float) -> None:
        for item in self._graph.change(gvr, old, new):
            self.controller.queue.add(item)

    async def reconcile(self, item: Item) -> float | None:
        gvr, key = item
        obj = self._graph.find(item)
        if obj is None:
            return None
        dependents = {
            found: dependent
            for found in self._graph.dependents(obj.metadata.uid)
            if (dependent := self._graph.find(found)) is not None
        }
        owners = [(ref, await self._state(obj, ref)) for ref in obj.metadata.owner_references or ()]
        match plan_object(obj, owners, dependents=list(dependents.values())):
            case Delete(policy, unblock):
                if unblock is not None:
                    await self._caches.patch(gvr, key, unblock)
                await self._caches.delete(gvr, obj, options={"propagationPolicy": policy})
            case DropOwners(patch) | DropFinalizer(patch):
                await self._caches.patch(gvr, key, patch)
            case DeleteDependents():
                for found, dependent in dependents.items():
                    if blocks(dependent, obj) and not is_deleting_dependents(dependent):
                        self.controller.queue.add(found)
            case OrphanDependents():
                for found in dependents:
                    await self._orphan(found, obj)
        return None

    async def _orphan(self, item: Item, owner: Object) -> None:
        found = self._graph.find(item)
        if found is not None:
            await self._caches.patch(item[0], item[1], drop_owners_patch(found, {owner.metadata.uid}))

    async def _state(self, obj: Object, ref: OwnerReference) -> OwnerState:
        gvr = self._gvrs.get((ref.api_version.rpartition("/")[0], ref.kind))
        if gvr is None:
            return "there"
        item = self._graph.by_uid(ref.uid)
        owner = self._graph.find(item) if item is not None else None
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
