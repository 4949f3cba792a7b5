"""EndpointSlices: wiring. The garbage collector removes the slices of a Service that is gone."""

from __future__ import annotations

import asyncio

from seamark.client.index import Index
from seamark.controllers.backends import has_backends
from seamark.controllers.caches import Caches
from seamark.controllers.endpointslice.hints import counts_alike, is_shared_out
from seamark.controllers.endpointslice.plan import MANAGED_BY, MANAGER, plan_slices
from seamark.controllers.runtime import Controller
from seamark.controllers.servicepods import ServicePods
from seamark.machinery.gvr import ENDPOINTSLICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.node import Node


class EndpointSliceController:
    def __init__(self, caches: Caches, service_pods: ServicePods) -> None:
        self._caches = caches
        self._pods = service_pods
        self._slices = Index(caches.slices, lambda one: [key] if (key := _managed_for(one)) else [])
        self.controller = Controller("endpointslice", self.reconcile, clock=caches.clock, workers=4)
        service_pods.subscribe(self.controller.queue.add)
        caches.slices.on_change(self._on_slice)
        caches.nodes.on_change(self._on_node)

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None, seen: float) -> None:
        """Somebody changed, removed or relabelled one of ours."""
        for one in (old, new):
            key = _managed_for(one) if one is not None else None
            if key is not None:
                self.controller.queue.add(key)

    def _on_node(self, old: Node | None, new: Node | None, seen: float) -> None:
        """Services that are shared out among zones look at all nodes."""
        if counts_alike(old, new):
            return
        for key, service in self._caches.services.items.items():
            if is_shared_out(service):
                self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        service = caches.services.get(key)
        if service is None or service.metadata.deletion_timestamp is not None:
            return None
        if not has_backends(service):  # ExternalName, or no selector any more: its pods are its endpoints no longer
            for one in self._slices.get(key):
                await caches.delete(ENDPOINTSLICES, one)
            return None
        plan = plan_slices(service, self._pods.pods_of(service), caches.nodes.items, self._slices.get(key))
        await asyncio.gather(
            *(caches.update(ENDPOINTSLICES, obj) for obj in plan.update),
            *(caches.create(ENDPOINTSLICES, obj) for obj in plan.create),
        )
        for one in plan.delete:
            await caches.delete(ENDPOINTSLICES, one)
        return None


def _managed_for(one: EndpointSlice) -> ObjectKey | None:
    return one.service_key if one.labels.get(MANAGED_BY) == MANAGER else None
