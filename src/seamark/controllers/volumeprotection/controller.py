"""The protection of claims and volumes: wiring. Keys with a namespace are claims."""

from __future__ import annotations

from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.volumeprotection.plan import claims_of, plan_claim, plan_volume
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.gvr import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES
from seamark.model.meta import Object, ObjectKey


class VolumeProtectionController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._users = Index(caches.pods, _claim_keys)
        self.controller = Controller("volumeprotection", self.reconcile, clock=caches.clock)
        caches.claims.on_change(self._on_storage)
        caches.volumes.on_change(self._on_storage)
        caches.pods.on_change(self._on_pod)

    def _on_storage(self, old: Object | None, new: Object | None, seen: float) -> None:
        if new is not None and new.metadata.deletion_timestamp is not None:
            self.controller.queue.add(new.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        found = new or old
        assert found is not None
        if new is None or new.is_finished:
            for key in _claim_keys(found):
                self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        if key.namespace:
            claim = caches.claims.get(key)
            kept = plan_claim(claim, self._users.get(key)) if claim is not None else None
        else:
            volume = caches.volumes.get(key)
            kept = plan_volume(volume) if volume is not None else None
        if kept is not None:
            gvr = PERSISTENTVOLUMECLAIMS if key.namespace else PERSISTENTVOLUMES
            await caches.patch(gvr, key, {"metadata": {"finalizers": kept}})
        return None


def _claim_keys(pod: WorkloadPod) -> list[ObjectKey]:
    return [ObjectKey(pod.metadata.namespace, name) for name in claims_of(pod)]
