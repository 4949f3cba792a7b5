"""The binder: wiring. Keys with a namespace are claims, those without are volumes.

One worker: two claims never choose the same volume, since what was written for the first shows at once (``Caches``).
"""

from __future__ import annotations

from typing import Any

from seamark.client.events import EventRecorder
from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.persistentvolume.binding import (
    claim_patch,
    claim_status_patch,
    phase_patch,
    unbinding_patch,
    volume_patch,
)
from seamark.controllers.persistentvolume.plan import Bind, SetClass, SetPhase, Unbind, plan_claim, plan_volume
from seamark.controllers.runtime import Controller
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES
from seamark.model.meta import ObjectKey
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim, StorageClass

COMPONENT = "persistentvolume-controller"


class PersistentVolumeController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self._told: dict[ObjectKey, tuple[str, str]] = {}
        self._unbound = Index(caches.claims, lambda claim: () if claim.is_bound else ("",))
        self.controller = Controller("persistentvolume", self.reconcile, clock=caches.clock, workers=1)
        caches.claims.on_change(self._on_claim)
        caches.volumes.on_change(self._on_volume)
        caches.storageclasses.on_change(self._on_class)

    def _on_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)
        if found.spec.volume_name:
            self.controller.queue.add(ObjectKey("", found.spec.volume_name))
        if new is None:
            self._told.pop(found.key, None)

    def _on_volume(self, old: PersistentVolume | None, new: PersistentVolume | None, seen: float) -> None:
        """A volume that becomes free may be what a claim waits for."""
        for one in (old, new):
            if one is not None and one.claim is not None:
                self.controller.queue.add(one.claim)
        if new is not None:
            self.controller.queue.add(new.key)
            if new.spec.claim_ref is None:
                self._retry_unbound()

    def _on_class(self, old: StorageClass | None, new: StorageClass | None, seen: float) -> None:
        self._retry_unbound()

    def _retry_unbound(self) -> None:
        for claim in self._unbound.get(""):
            self.controller.queue.add(claim.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        await (self._look_at_claim(key) if key.namespace else self._look_at_volume(key))
        return None

    async def _look_at_claim(self, key: ObjectKey) -> None:
        caches = self._caches
        claim = caches.claims.get(key)
        if claim is None:
            return
        volumes = {k.name: volume for k, volume in caches.volumes.items.items()}
        classes = {k.name: one for k, one in caches.storageclasses.items.items()}
        match plan_claim(claim, volumes, classes):
            case Bind(volume):
                await self._bind(volume, claim)
            case SetClass(name):
                meta = {"resourceVersion": claim.metadata.resource_version}
                patch = {"metadata": meta, "spec": {"storageClassName": name}}
                await caches.patch(PERSISTENTVOLUMECLAIMS, key, patch)
                self.controller.queue.add(key)
            case SetPhase() as action:
                await self._patch_claim(key, phase_patch(claim, action.phase, self._now()), status=True)
                if action.reason and self._told.get(key) != (action.reason, action.message):
                    self._told[key] = (action.reason, action.message)
                    self._tell(claim, action)

    async def _bind(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        """From whatever step an earlier look came to."""
        await self._patch_volume(volume.key, volume_patch(volume, claim))
        await self._patch_volume(volume.key, phase_patch(volume, "Bound", self._now()), status=True)
        await self._patch_claim(claim.key, claim_patch(claim, volume))
        await self._patch_claim(claim.key, claim_status_patch(claim, volume), status=True)

    async def _look_at_volume(self, key: ObjectKey) -> None:
        volume = self._caches.volumes.get(key)
        if volume is None:
            return
        claim = self._caches.claims.get(volume.claim) if volume.claim is not None else None
        match plan_volume(volume, claim):
            case Unbind():
                await self._patch_volume(key, unbinding_patch(volume))
            case SetPhase() as action:
                patch = phase_patch(volume, action.phase, self._now(), action.message)
                await self._patch_volume(key, patch, status=True)
                if action.reason:
                    self._tell(volume, action)

    async def _patch_volume(self, key: ObjectKey, patch: dict[str, Any] | None, *, status: bool = False) -> None:
        if patch is not None:
            await self._caches.patch(PERSISTENTVOLUMES, key, patch, subresource="status" if status else "")

    async def _patch_claim(self, key: ObjectKey, patch: dict[str, Any] | None, *, status: bool = False) -> None:
        if patch is not None:
            await self._caches.patch(PERSISTENTVOLUMECLAIMS, key, patch, subresource="status" if status else "")

    def _tell(self, about: PersistentVolume | PersistentVolumeClaim, action: SetPhase) -> None:
        gvr = PERSISTENTVOLUMES if isinstance(about, PersistentVolume) else PERSISTENTVOLUMECLAIMS
        self._events.record(COMPONENT, gvr, about, action.reason, action.message, warning=action.warning)

    def _now(self) -> str:
        return format_time(self._caches.clock.time())
