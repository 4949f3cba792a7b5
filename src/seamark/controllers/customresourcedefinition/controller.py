"""CustomResourceDefinitions: wiring. It also tells the caches which custom kinds there are to watch.

Objects of a kind that goes are deleted by the API's own verbs, namespace by namespace, so that finalizers are kept;
only when none is left does the definition go.
"""

from __future__ import annotations

from typing import Any

from seamark.client.informer import RawObject
from seamark.controllers.caches import Caches
from seamark.controllers.customresourcedefinition.plan import (
    custom_gvr,
    is_leaving,
    plan_leaving,
    plan_status,
    without_finalizer,
)
from seamark.controllers.runtime import Controller
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS, GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

LOOK_AGAIN = 1.0  # for objects of the kind whose finalizers take their time
_GONE = (404, 409)  # nothing to do here, or the next event comes

Obj = dict[str, Any]


class CustomResourceDefinitionController:
    def __init__(self, caches: Caches, *, is_guest: bool = False) -> None:
        """``is_guest``: the API server settles and removes definitions itself; here they are only watched."""
        self._caches = caches
        self._is_guest = is_guest
        self._kinds: dict[ObjectKey, GVR] = {}
        self.controller = Controller("customresourcedefinition", self.reconcile, clock=caches.clock)
        caches.definitions.on_change(self._on_definition)

    def _on_definition(self, old: RawObject | None, new: RawObject | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)
        if new is None:  # a name may be free for another now
            group = found.metadata.name.partition(".")[2]
            for key in self._caches.definitions.items:
                if key.name.partition(".")[2] == group:
                    self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        cached = self._caches.definitions.get(key)
        if cached is None:
            self._watch(key, None)
            return None
        crd = cached.as_dict()
        if self._is_guest:
            self._watch(key, custom_gvr(crd))
            return None
        try:
            if is_leaving(crd):
                return await self._remove_objects(key, crd)
            return await self._settle(key, crd)
        except StatusError as error:
            if error.code not in _GONE:
                raise
            return None

    async def _settle(self, key: ObjectKey, crd: Obj) -> float | None:
        group = crd["spec"].get("group")
        others = [
            other.as_dict()
            for name, other in self._caches.definitions.items.items()
            if name != key and name.name.endswith(f".{group}")
        ]
        status = plan_status(crd, others, format_time(self._caches.clock.time()))
        if status != crd.get("status"):
            crd = await self._write(crd, status)
        self._watch(key, custom_gvr(crd))
        return None

    async def _write(self, crd: Obj, status: Obj) -> Obj:
        written = await self._caches.client.update(
            CUSTOMRESOURCEDEFINITIONS, {**crd, "status": status}, subresource="status"
        )
        self._caches.definitions.observe(written)
        return written

    async def _remove_objects(self, key: ObjectKey, crd: Obj) -> float | None:
        now, gvr = format_time(self._caches.clock.time()), custom_gvr(crd)
        reason, message = "NeverEstablished", "resource was never established"
        if gvr is not None:
            what = "CustomResource deletion is in progress"
            crd = await self._write(crd, plan_leaving(crd, "InstanceDeletionInProgress", what, done=False, now=now))
            client = self._caches.client
            for namespace in await self._namespaces(gvr):
                await client.delete(gvr, "", namespace=namespace)
            if await client.list(gvr, query={"limit": 1}):
                return LOOK_AGAIN
            reason, message = "InstanceDeletionCompleted", "removed all instances"
        crd = await self._write(crd, plan_leaving(crd, reason, message, done=True, now=now))
        self._watch(key, None)
        await self._caches.patch(CUSTOMRESOURCEDEFINITIONS, key, without_finalizer(crd))
        return None

    async def _namespaces(self, gvr: GVR) -> set[str]:
        """Those with objects of the kind; the empty one for a kind that is in none."""
        return {obj["metadata"].get("namespace", "") for obj in await self._caches.client.list(gvr)}

    def _watch(self, key: ObjectKey, gvr: GVR | None) -> None:
        before = self._kinds.get(key)
        if before == gvr:
            return
        if before is not None:
            self._caches.forget_custom(before)
            del self._kinds[key]
        if gvr is not None:
            self._kinds[key] = gvr
            self._caches.watch_custom(gvr)
