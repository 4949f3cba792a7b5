"""Deployments: wiring. One step of the plan per look; every write wakes the next."""

from __future__ import annotations

import msgspec

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.claims import apply_claims, owner_keys
from seamark.controllers.deployment.plan import Action, CreateSet, DeleteSet, PatchSet, plan_deployment
from seamark.controllers.deployment.replicasets import REVISION
from seamark.controllers.owners import compile_selector, controller_of, controller_uid, select_claims
from seamark.controllers.revision import same_template
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import Deployment, ReplicaSet, WorkloadPod, status_patch
from seamark.machinery.gvr import DEPLOYMENTS, REPLICASETS
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.meta import ObjectKey

COMPONENT = "deployment-controller"


class DeploymentController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self.controller = Controller("deployment", self.reconcile, clock=caches.clock, workers=4)
        caches.deployments.on_change(self._on_deployment)
        caches.replicasets.on_change(self._on_set)
        caches.pods.on_change(self._on_pod)

    def _on_deployment(self, old: Deployment | None, new: Deployment | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_set(self, old: ReplicaSet | None, new: ReplicaSet | None, seen: float) -> None:
        for key in owner_keys(DEPLOYMENTS, self._caches.deployments_in, old, new):
            self.controller.queue.add(key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        """Only Recreate waits for pods: it must not start the new version while one of the old is there."""
        reference = controller_of(old) if old is not None else None
        if reference is None or old is None or not (new is None or new.is_finished):
            return
        rs = self._caches.replicasets.get(ObjectKey(old.metadata.namespace, reference.name))
        owner = controller_of(rs) if rs is not None else None
        d = self._caches.deployments.get(ObjectKey(old.metadata.namespace, owner.name)) if owner else None
        if d is not None and d.spec.strategy.type == "Recreate":
            self.controller.queue.add(d.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        d = caches.deployments.get(key)
        selector = compile_selector(d.spec.selector) if d else None
        if d is None or selector is None:
            return None
        orphans = caches.replicasets_of.get(("", key.namespace))
        claims = select_claims(d, selector, caches.replicasets_of.get(d.metadata.uid), orphans)
        await apply_claims(caches, REPLICASETS, d, DEPLOYMENTS, claims)
        sets = caches.replicasets_of.get(d.metadata.uid)
        plan = plan_deployment(d, sets, has_pods=self._has_pods, now=caches.clock.time())
        for action in plan.actions:
            await self._apply(d, action)
        if plan.status != d.status:
            await caches.patch(DEPLOYMENTS, key, status_patch(d.status, plan.status), subresource="status")
        return plan.again

    def _has_pods(self, rs: ReplicaSet) -> bool:
        return any(not pod.is_finished for pod in self._caches.pods_of.get(rs.metadata.uid))

    async def _apply(self, d: Deployment, action: Action) -> None:
        caches = self._caches
        match action:
            case CreateSet(obj):
                await self._create(d, obj)
            case PatchSet(rs, patch, replicas):
                await caches.patch(REPLICASETS, rs.key, patch)
                self._scaled(d, rs.metadata.name, rs.spec.replicas, replicas)
            case DeleteSet(rs):
                await caches.delete(REPLICASETS, rs)
            case _:
                patch = {"metadata": {"annotations": {REVISION: action.revision}}}
                await caches.patch(DEPLOYMENTS, d.key, patch, subresource="status")  # moves no generation

    async def _create(self, d: Deployment, obj: dict[str, object]) -> None:
        try:
            made = await self._caches.create(REPLICASETS, obj)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._resolve_collision(d, obj)
            raise
        self._scaled(d, made["metadata"]["name"], 0, made["spec"]["replicas"])

    async def _resolve_collision(self, d: Deployment, obj: dict[str, object]) -> None:
        """The name is taken. By our own set, the cache lags and the retry sees it; else count on for another name."""
        meta = codec.convert(obj, ReplicaSet)
        there = await self._caches.client.get_as(
            ReplicaSet, REPLICASETS, meta.metadata.name, namespace=d.metadata.namespace
        )
        if controller_uid(there) == d.metadata.uid and same_template(there.spec.template, d.spec.template):
            return
        status = msgspec.structs.replace(d.status, collision_count=(d.status.collision_count or 0) + 1)
        await self._caches.patch(DEPLOYMENTS, d.key, status_patch(d.status, status), subresource="status")

    def _scaled(self, d: Deployment, name: str, before: int, after: int) -> None:
        if before == after:
            return
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self._events.record(COMPONENT, DEPLOYMENTS, d, "ScalingReplicaSet", message)
