"""Default service accounts: wiring."""

from __future__ import annotations

from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.serviceaccount.plan import NAME, plan_serviceaccount
from seamark.machinery.gvr import SERVICEACCOUNTS
from seamark.model.meta import Object, ObjectKey
from seamark.model.service import Namespace


class ServiceAccountController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("serviceaccount", self.reconcile, clock=caches.clock)
        caches.namespaces.on_change(self._on_namespace)
        caches.serviceaccounts.on_change(self._on_account)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None, seen: float) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    def _on_account(self, old: Object | None, new: Object | None, seen: float) -> None:
        if new is None and old is not None and old.metadata.name == NAME:
            self.controller.queue.add(ObjectKey("", old.metadata.namespace))

    async def reconcile(self, key: ObjectKey) -> float | None:
        namespace = self._caches.namespaces.get(key)
        if namespace is None:
            return None
        exists = self._caches.serviceaccounts.get(ObjectKey(key.name, NAME)) is not None
        account = plan_serviceaccount(namespace, exists=exists)
        if account is not None:
            await self._caches.create(SERVICEACCOUNTS, account)
        return None
