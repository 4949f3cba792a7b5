"""ServiceCIDRs: wiring."""

from __future__ import annotations

from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.servicecidr.plan import SetFinalizers, SetReady, Wait, plan_servicecidr
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import SERVICECIDRS
from seamark.model.ipaddress import IPAddress, ServiceCidr
from seamark.model.meta import ObjectKey


class ServiceCidrController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("servicecidr", self.reconcile, clock=caches.clock, workers=1)
        caches.servicecidrs.on_change(self._on_range)
        caches.ipaddresses.on_change(self._on_address)

    def _on_range(self, old: ServiceCidr | None, new: ServiceCidr | None, seen: float) -> None:
        """A range that comes or goes decides about others that wait for it."""
        if new is not None:
            self.controller.queue.add(new.key)
        if old is None or new is None:
            self._retry_leaving()

    def _on_address(self, old: IPAddress | None, new: IPAddress | None, seen: float) -> None:
        if new is None:
            self._retry_leaving()

    def _retry_leaving(self) -> None:
        for one in self._caches.servicecidrs.items.values():
            if one.metadata.deletion_timestamp is not None:
                self.controller.queue.add(one.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        one = caches.servicecidrs.get(key)
        if one is None:
            return None
        others = [other for other in caches.servicecidrs.items.values() if other.key != key]
        now = caches.clock.time()
        for action in plan_servicecidr(one, others, caches.ipaddresses.items.values(), now=now):
            match action:
                case SetFinalizers(finalizers):
                    await caches.patch(SERVICECIDRS, key, {"metadata": {"finalizers": list(finalizers)}})
                case SetReady(status, reason, message):
                    ready = {"type": "Ready", "status": status, "reason": reason, "message": message}
                    patch = {"status": {"conditions": [{**ready, "lastTransitionTime": format_time(now)}]}}
                    await caches.patch(SERVICECIDRS, key, patch, subresource="status")
                case Wait(seconds):
                    return seconds
        return None
