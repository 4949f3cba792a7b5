"""Pod garbage collection: wiring. A missing node is waited for before its pods go: it may only be registering anew."""

from __future__ import annotations

from seamark.controllers.caches import Caches
from seamark.controllers.podgc.plan import plan_finished, plan_orphans, plan_unscheduled
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.gvr import PODS
from seamark.model.meta import ObjectKey
from seamark.model.node import Node

QUARANTINE = 40.0
EVERYTHING = ObjectKey("", "")
PERIOD = 20.0


class PodGarbageCollector:
    """Keys are names of nodes; the empty one stands for the sweep over finished and unscheduled pods."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._missing: dict[str, float] = {}
        self.controller = Controller("podgc", self.reconcile, clock=caches.clock, workers=1)
        self.controller.queue.add(EVERYTHING)
        caches.nodes.on_change(self._on_node)
        caches.pods.on_change(self._on_pod)

    def _on_node(self, old: Node | None, new: Node | None, seen: float) -> None:
        if new is None and old is not None:
            self.controller.queue.add(ObjectKey("", old.metadata.name))

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        if new is not None and new.spec.node_name and self._caches.nodes.get(ObjectKey("", new.spec.node_name)) is None:
            self.controller.queue.add(ObjectKey("", new.spec.node_name))

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        if key == EVERYTHING:
            pods = list(caches.pods.items.values())
            await self._remove([*plan_unscheduled(pods), *plan_finished(pods)])
            return PERIOD
        if caches.nodes.get(key) is not None:
            self._missing.pop(key.name, None)
            return None
        now = caches.clock.monotonic()
        waited = now - self._missing.setdefault(key.name, now)
        if waited < QUARANTINE:
            return QUARANTINE - waited
        del self._missing[key.name]
        await self._remove(plan_orphans(caches.pods_on.get(key.name), {key.name}))
        return None

    async def _remove(self, pods: list[WorkloadPod]) -> None:
        for pod in pods:
            await self._caches.delete(PODS, pod, options={"gracePeriodSeconds": 0})
