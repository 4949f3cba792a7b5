"""Autoscalers: wiring. Each is looked at again every 15 seconds, and when its target changes its size."""

from __future__ import annotations

import msgspec

from seamark.client.events import EventRecorder
from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.horizontalpodautoscaler.objects import Autoscaler
from seamark.controllers.horizontalpodautoscaler.plan import (
    Outcome,
    Scale,
    plan_autoscaler,
    plan_refused,
    plan_unreachable,
)
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import (
    DEPLOYMENTS,
    GVR,
    HORIZONTALPODAUTOSCALERS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
)
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey

COMPONENT = "horizontal-pod-autoscaler"
SCALABLE = (DEPLOYMENTS, REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS)
PERIOD = 15.0


class HorizontalPodAutoscalerController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self._of = Index(caches.autoscalers, lambda hpa: (_target_key(hpa),))
        self.controller = Controller("horizontalpodautoscaler", self.reconcile, clock=caches.clock)
        caches.autoscalers.on_change(self._on_autoscaler)
        for gvr in SCALABLE:
            caches.all[gvr].on_change(self._on_target)

    def _on_autoscaler(self, old: Autoscaler | None, new: Autoscaler | None, seen: float) -> None:
        if new is not None and (old is None or old.spec != new.spec):
            self.controller.queue.add(new.key)

    def _on_target(self, old: Object | None, new: Object | None, seen: float) -> None:
        if old is not None and new is not None and old.metadata.generation == new.metadata.generation:
            return
        found = new or old
        assert found is not None
        for key in self._of.keys((found.kind, found.metadata.namespace, found.metadata.name)):
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        hpa = self._caches.autoscalers.get(key)
        if hpa is None or hpa.metadata.deletion_timestamp is not None:
            return None
        outcome = await self._decide(hpa)
        for told in outcome.events:
            self._events.record(
                COMPONENT, HORIZONTALPODAUTOSCALERS, hpa, told.reason, told.message, warning=told.warning
            )
        if outcome.status != hpa.status:
            patch = {"status": msgspec.to_builtins(outcome.status)}
            await self._caches.patch(HORIZONTALPODAUTOSCALERS, key, patch, subresource="status")
        return PERIOD

    async def _decide(self, hpa: Autoscaler) -> Outcome:
        now, target = self._caches.clock.time(), hpa.spec.scale_target_ref
        gvr = next((one for one in SCALABLE if (one.group, one.kind) == (target.group, target.kind)), None)
        if gvr is None:
            error = f'no matches for kind "{target.kind}" in group "{target.group}"'
            return plan_unreachable(hpa, error, now=now)
        try:
            scale = await self._read_scale(gvr, hpa)
        except StatusError as error:
            return plan_unreachable(hpa, error.message, now=now)
        outcome = plan_autoscaler(hpa, scale, now=now)
        if outcome.replicas is None:
            return outcome
        try:
            where, size = ObjectKey(hpa.metadata.namespace, target.name), {"spec": {"replicas": outcome.replicas}}
            await self._caches.client.patch(gvr, where.name, size, namespace=where.namespace, subresource="scale")
        except StatusError as error:
            return plan_refused(hpa, outcome, error.message, now=now)
        return outcome

    async def _read_scale(self, gvr: GVR, hpa: Autoscaler) -> Scale:
        name, namespace = hpa.spec.scale_target_ref.name, hpa.metadata.namespace
        found = await self._caches.client.get(gvr, name, namespace=namespace, subresource="scale")
        spec, status = found.get("spec") or {}, found.get("status") or {}
        return Scale(int(spec.get("replicas") or 0), str(status.get("selector") or ""))


def _target_key(hpa: Autoscaler) -> tuple[str, str, str]:
    target = hpa.spec.scale_target_ref
    return target.kind, hpa.metadata.namespace, target.name
