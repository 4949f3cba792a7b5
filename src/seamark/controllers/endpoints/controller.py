"""Endpoints: wiring. One write per changed Service; gone with the Service."""

from __future__ import annotations

from seamark.controllers.backends import has_backends
from seamark.controllers.caches import Caches
from seamark.controllers.endpoints.objects import Endpoints
from seamark.controllers.endpoints.plan import MANAGED_BY, plan_endpoints
from seamark.controllers.runtime import Controller
from seamark.controllers.servicepods import ServicePods
from seamark.machinery.gvr import ENDPOINTS
from seamark.model.meta import ObjectKey
from seamark.model.service import Service


class EndpointsController:
    def __init__(self, caches: Caches, service_pods: ServicePods) -> None:
        self._caches = caches
        self._pods = service_pods
        self._deleted: set[ObjectKey] = set()
        self.controller = Controller("endpoints", self.reconcile, clock=caches.clock, workers=4)
        service_pods.subscribe(self.controller.queue.add)
        caches.services.on_change(self._on_service)
        caches.endpoints.on_change(self._on_endpoints)

    def _on_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        if old is not None and new is None:
            self._deleted.add(old.key)

    def _on_endpoints(self, old: Endpoints | None, new: Endpoints | None, seen: float) -> None:
        """Somebody changed or removed ours, or ours outlived its Service while nobody watched."""
        found = new or old
        if found is not None and MANAGED_BY.items() <= found.labels.items():
            self.controller.queue.add(found.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        service = caches.services.get(key)
        current = caches.endpoints.get(key)
        if service is None:
            if current is not None and (key in self._deleted or MANAGED_BY.items() <= current.labels.items()):
                await caches.delete(ENDPOINTS, current)
            self._deleted.discard(key)
            return None
        self._deleted.discard(key)
        if service.metadata.deletion_timestamp is not None:
            return None
        if not has_backends(service):  # ExternalName, or no selector any more: what we wrote is true no longer
            if current is not None and MANAGED_BY.items() <= current.labels.items():
                await caches.delete(ENDPOINTS, current)
            return None
        wanted = plan_endpoints(service, self._pods.pods_of(service), current)
        if wanted is not None and current is None:
            await caches.create(ENDPOINTS, wanted)
        elif wanted is not None:
            await caches.update(ENDPOINTS, wanted)
        return None
