"""Mirrored slices: wiring."""

from __future__ import annotations

from seamark.client.events import EventRecorder
from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.endpoints.objects import Endpoints
from seamark.controllers.endpointslicemirroring.plan import CAPACITY, MANAGED_BY, MANAGER, is_mirrored, plan_mirror
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import ENDPOINTS, ENDPOINTSLICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import Object, ObjectKey

COMPONENT = "endpoint-slice-mirroring-controller"


class EndpointSliceMirroringController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self._slices = Index(caches.slices, lambda one: [key] if (key := _mirror_of(one)) else [])
        self.controller = Controller("endpointslicemirroring", self.reconcile, clock=caches.clock)
        caches.endpoints.on_change(self._on_named)
        caches.services.on_change(self._on_named)
        caches.slices.on_change(self._on_slice)

    def _on_named(self, old: Object | None, new: Object | None, seen: float) -> None:
        """Endpoints and their Service have one name."""
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None, seen: float) -> None:
        for one in (old, new):
            key = _mirror_of(one) if one is not None else None
            if key is not None:
                self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        endpoints, current = caches.endpoints.get(key), self._slices.get(key)
        if endpoints is None or not is_mirrored(endpoints, caches.services.get(key)):
            for one in current:
                await caches.delete(ENDPOINTSLICES, one)
            return None
        plan = plan_mirror(endpoints, current)
        if plan.skipped and (plan.create or plan.update):
            self._tell(endpoints, plan.skipped)
        for obj in plan.create:
            await caches.create(ENDPOINTSLICES, obj)
        for obj in plan.update:
            await caches.update(ENDPOINTSLICES, obj)
        for one in plan.delete:
            await caches.delete(ENDPOINTSLICES, one)
        return None

    def _tell(self, endpoints: Endpoints, skipped: int) -> None:
        text = f"A max of {CAPACITY} addresses can be mirrored to EndpointSlices per Endpoints subset. "
        text += f"{skipped} addresses were skipped"
        self._events.record(COMPONENT, ENDPOINTS, endpoints, "TooManyAddressesToMirror", text, warning=True)


def _mirror_of(one: EndpointSlice) -> ObjectKey | None:
    return one.service_key if one.labels.get(MANAGED_BY) == MANAGER else None
