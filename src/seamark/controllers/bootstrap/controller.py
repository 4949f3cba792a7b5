"""Bootstrap: wiring. Every object once, in order; the API server's own again whenever they are missing or wrong."""

from __future__ import annotations

from seamark.client.informer import OnChange
from seamark.controllers.bootstrap.plan import NAMESPACES, Obj, plan_bootstrap
from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.settings import ControllerSettings
from seamark.machinery import gvr as g
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey

Item = tuple[GVR, ObjectKey]

KUBERNETES = ObjectKey("default", "kubernetes")
FOLLOWED = {g.ENDPOINTS: "subsets", g.ENDPOINTSLICES: "endpoints"}


class BootstrapController:
    """One worker: the order of the plan is the order of the writes."""

    def __init__(self, caches: Caches, settings: ControllerSettings) -> None:
        self._caches = caches
        self._wanted: dict[Item, Obj] = {}
        self.controller: Controller[Item] = Controller("bootstrap", self.reconcile, clock=caches.clock, workers=1)
        for gvr, obj in plan_bootstrap(settings):
            item = (gvr, ObjectKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            self._wanted[item] = obj
            self.controller.queue.add(item)
        for gvr in (g.NAMESPACES, g.SERVICES, *FOLLOWED):
            caches.all[gvr].on_change(self._watcher(gvr))

    def _watcher(self, gvr: GVR) -> OnChange[Object]:
        def note(old: Object | None, new: Object | None, seen: float) -> None:
            found = new or old
            assert found is not None
            kept = found.key == KUBERNETES or (gvr is g.NAMESPACES and found.metadata.name in NAMESPACES)
            if kept and (new is None or gvr in FOLLOWED) and (gvr, found.key) in self._wanted:
                self.controller.queue.add((gvr, found.key))

        return note

    async def reconcile(self, item: Item) -> float | None:
        gvr, key = item
        if self._caches.all[gvr].get(key) is None:
            try:
                await self._caches.create(gvr, self._wanted[item])
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
        elif gvr in FOLLOWED:
            await self._follow(item)
        return None

    async def _follow(self, item: Item) -> None:
        """The address of the API server may be another after a restart."""
        gvr, key = item
        there, wanted = await self._caches.client.get(gvr, key.name, namespace=key.namespace), self._wanted[item]
        fields = (FOLLOWED[gvr], "ports") if gvr is g.ENDPOINTSLICES else (FOLLOWED[gvr],)
        if any(there.get(field) != wanted[field] for field in fields):
            await self._caches.patch(gvr, key, {field: wanted[field] for field in fields})
