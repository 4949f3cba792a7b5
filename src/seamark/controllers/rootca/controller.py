"""Root CA publisher: wiring. The data is read when the ConfigMap changes, not kept: the cache holds metadata only."""

from __future__ import annotations

from seamark.controllers.caches import Caches
from seamark.controllers.rootca.plan import NAME, Create, Patch, plan_rootca
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import CONFIGMAPS
from seamark.model.meta import Object, ObjectKey
from seamark.model.service import Namespace


class RootCaController:
    def __init__(self, caches: Caches, *, ca_pem: str) -> None:
        self._caches = caches
        self._ca_pem = ca_pem
        self.controller = Controller("rootca", self.reconcile, clock=caches.clock)
        caches.namespaces.on_change(self._on_namespace)
        caches.configmaps.on_change(self._on_configmap)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None, seen: float) -> None:
        if new is not None and old is None:
            self.controller.queue.add(new.key)

    def _on_configmap(self, old: Object | None, new: Object | None, seen: float) -> None:
        found = new or old
        if found is not None and found.metadata.name == NAME:
            self.controller.queue.add(ObjectKey("", found.metadata.namespace))

    async def reconcile(self, key: ObjectKey) -> float | None:
        namespace = self._caches.namespaces.get(key)
        if namespace is None:
            return None
        where = ObjectKey(key.name, NAME)
        data: dict[str, str] | None = None
        if self._caches.configmaps.get(where) is not None:
            found = await self._caches.client.get(CONFIGMAPS, NAME, namespace=key.name)
            data = found.get("data") or {}
        match plan_rootca(namespace, data, self._ca_pem):
            case Create(obj):
                await self._caches.create(CONFIGMAPS, obj)
            case Patch(patch):
                await self._caches.patch(CONFIGMAPS, where, patch)
        return None
