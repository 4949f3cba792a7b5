"""The repair of ClusterIPs: wiring. Keys are Services, and with no namespace the addresses."""

from __future__ import annotations

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.ipaddress.plan import LookAgain, Make, Remove, Tell, plan_address, plan_service, render_address
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import IPADDRESSES, SERVICES
from seamark.machinery.status import StatusError
from seamark.model.ipaddress import IPAddress
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

COMPONENT = "ipallocator-repair-controller"
PATIENCE = 1.0


class IPAddressController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self.controller = Controller("ipaddress", self.reconcile, clock=caches.clock, workers=1)
        caches.services.on_change(self._on_service)
        caches.ipaddresses.on_change(self._on_address)

    def _on_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        if new is None:
            assert old is not None
            for ip in old.cluster_ips:
                self._wake_address(ip)
        elif (old is None or old.cluster_ips != new.cluster_ips) and self._lacks_address(new):
            self.controller.queue.add_after(new.key, PATIENCE)

    def _lacks_address(self, service: Service) -> bool:
        """Its address comes with it, but the two caches need not be equally quick."""
        me = (service.metadata.namespace, service.metadata.name)
        found = [self._caches.ipaddresses.get(ObjectKey("", ip)) for ip in service.cluster_ips]
        return any(a is None or (a.spec.parent_ref.namespace, a.spec.parent_ref.name) != me for a in found)

    def _on_address(self, old: IPAddress | None, new: IPAddress | None, seen: float) -> None:
        found = new or old
        assert found is not None
        parent = found.spec.parent_ref
        if new is not None:
            self._wake_address(new.metadata.name)
        if old is not None and parent.namespace:
            self.controller.queue.add(ObjectKey(parent.namespace, parent.name))

    def _wake_address(self, ip: str) -> None:
        if self._caches.ipaddresses.get(ObjectKey("", ip)) is not None:
            self.controller.queue.add(ObjectKey("", ip))

    async def reconcile(self, key: ObjectKey) -> float | None:
        return await self._repair(key) if key.namespace else await self._clean(key)

    async def _repair(self, key: ObjectKey) -> float | None:
        caches = self._caches
        service = caches.services.get(key)
        if service is None or service.spec.type == "ExternalName":
            return None
        ranges = [cidr for one in caches.servicecidrs.items.values() for cidr in one.cidrs]
        found = plan_service(service, lambda ip: caches.ipaddresses.get(ObjectKey("", ip)), caches.services.get, ranges)
        for action in found:
            match action:
                case Tell(reason, message):
                    self._tell(service, reason, message)
                case Make():
                    await self._make(service, action)
        return None

    async def _make(self, service: Service, action: Make) -> None:
        caches = self._caches
        if action.replaced is not None:
            await caches.delete(IPADDRESSES, action.replaced)
        try:
            await caches.create(IPADDRESSES, render_address(action.ip, service))
        except StatusError as error:
            if error.reason != "AlreadyExists" or action.replaced is not None:
                raise
            return  # the cache had not heard of it yet
        if action.reason:
            self._tell(service, action.reason, action.message)

    async def _clean(self, key: ObjectKey) -> float | None:
        caches = self._caches
        address = caches.ipaddresses.get(key)
        if address is None:
            return None
        parent = address.spec.parent_ref
        service = caches.services.get(ObjectKey(parent.namespace, parent.name))
        match plan_address(address, service, now=caches.clock.time()):
            case LookAgain(seconds):
                return seconds
            case Remove(reason, message):
                self._events.record(COMPONENT, IPADDRESSES, address, reason, message, warning=True)
                await caches.delete(IPADDRESSES, address)
        return None

    def _tell(self, service: Service, reason: str, message: str) -> None:
        self._events.record(COMPONENT, SERVICES, service, reason, message, warning=True)
