"""ResourceQuotas: wiring. What is charged on create is given back when an object goes, or a pod ends.

Counted by lists, not from the caches: those hold less of an object than its cost, and may lag the API server.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from seamark.client.informer import Informer, RawObject
from seamark.controllers.caches import Caches
from seamark.controllers.resourcequota.plan import plan_quota, quota_patch, select_counted
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import GVR, PODS, RESOURCEQUOTAS, SERVICES
from seamark.model.meta import Object, ObjectKey
from seamark.model.pod import Pod
from seamark.model.volume import PersistentVolumeClaim


class ResourceQuotaController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("resourcequota", self.reconcile, clock=caches.clock)
        caches.quotas.on_change(self._on_quota)
        caches.on_kind(self._begin)

    def _begin(self, gvr: GVR, informer: Informer[Any]) -> None:
        if gvr.namespaced:
            informer.on_change(partial(self._on_object, gvr))

    def _on_quota(self, old: RawObject | None, new: RawObject | None, seen: float) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    def _on_object(self, gvr: GVR, old: Object | None, new: Object | None, seen: float) -> None:
        if old is not None and new is not None and not _costs_other(gvr, old, new):
            return
        found = new or old
        assert found is not None
        for quota in self._caches.quotas_in.get(found.metadata.namespace):
            self.controller.queue.add(quota.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        cached = caches.quotas.get(key)
        if cached is None or cached.metadata.deletion_timestamp is not None:
            return None
        quota = cached.as_dict()
        namespaced = [gvr for gvr in caches.all if gvr.namespaced]
        counted = select_counted((quota.get("spec") or {}).get("hard") or (), namespaced)
        objects = {gvr: await caches.client.list(gvr, namespace=key.namespace) for gvr in counted}
        patch = quota_patch(quota, plan_quota(quota, objects))
        if patch is not None:
            await caches.patch(RESOURCEQUOTAS, key, patch, subresource="status")
        return None


def _costs_other(gvr: GVR, old: Object, new: Object) -> bool:
    if gvr == PODS and isinstance(old, Pod) and isinstance(new, Pod):
        return old.is_finished != new.is_finished
    if isinstance(old, PersistentVolumeClaim) and isinstance(new, PersistentVolumeClaim):
        return old.spec != new.spec
    return gvr == SERVICES and old != new
