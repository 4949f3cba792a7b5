"""ReplicaSets, and ReplicationControllers, which are the same but for their selector: wiring.

Claims pods, makes missing ones in growing batches, deletes surplus ones, writes the status.
"""

from __future__ import annotations

import asyncio

from seamark.client.events import EventRecorder
from seamark.client.informer import Informer
from seamark.controllers.caches import Caches
from seamark.controllers.claims import apply_claims, owner_keys
from seamark.controllers.owners import compile_selector, select_claims
from seamark.controllers.pods import render_pod
from seamark.controllers.replicaset.plan import AnySet, plan_replicas, plan_status
from seamark.controllers.runtime import Controller, is_namespace_ending
from seamark.controllers.workloads import WorkloadPod, status_patch
from seamark.machinery.gvr import GVR, PODS, REPLICASETS, REPLICATIONCONTROLLERS
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

COMPONENTS = {REPLICASETS: "replicaset-controller", REPLICATIONCONTROLLERS: "replication-controller"}


class ReplicaSetController:
    """``gvr`` says which of the two kinds this one looks after."""

    def __init__(self, caches: Caches, events: EventRecorder, *, gvr: GVR = REPLICASETS) -> None:
        self._caches = caches
        self._events = events
        self._gvr = gvr
        self._sets: Informer[AnySet] = caches.all[gvr]
        self._sets_in = caches.replicasets_in if gvr == REPLICASETS else caches.replicationcontrollers_in
        self.controller = Controller(gvr.kind.lower(), self.reconcile, clock=caches.clock, workers=4)
        self._sets.on_change(self._on_set)
        caches.pods.on_change(self._on_pod)

    def _on_set(self, old: AnySet | None, new: AnySet | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        for key in owner_keys(self._gvr, self._sets_in, old, new):
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        rs = self._sets.get(key)
        selector = compile_selector(rs.spec.selector) if rs else None
        if rs is None or selector is None:
            return None
        caches = self._caches
        orphans = caches.pods_of.get(("", key.namespace))
        claims = select_claims(rs, selector, caches.pods_of.get(rs.metadata.uid), orphans)
        await apply_claims(caches, PODS, rs, self._gvr, claims)
        pods = caches.pods_of.get(rs.metadata.uid)
        plan = plan_replicas(rs, pods, now=caches.clock.time())
        failure: StatusError | None = None
        if plan.create:
            failure = await self._create(rs, plan.create)
        if plan.delete:
            await asyncio.gather(*(self._delete(rs, pod) for pod in plan.delete))
        await self._write_status(key, failure)
        if failure is not None and not is_namespace_ending(failure):
            raise failure
        return plan.again

    async def _create(self, rs: AnySet, count: int) -> StatusError | None:
        """One, then two, four, …: a template the API refuses costs one request, not hundreds."""
        batch = 1
        while count > 0:
            made = await asyncio.gather(*(self._create_one(rs) for _ in range(min(batch, count))))
            failures = [failure for failure in made if failure is not None]
            if failures:
                return failures[0]
            count -= len(made)
            batch *= 2
        return None

    async def _create_one(self, rs: AnySet) -> StatusError | None:
        try:
            pod = await self._caches.create(PODS, render_pod(rs.spec.template, rs, self._gvr))
        except StatusError as error:
            if not is_namespace_ending(error):
                message = f"Error creating: {error.message}"
                self._tell(rs, "FailedCreate", message, warning=True)
            return error
        self._events.record(
            COMPONENTS[self._gvr], self._gvr, rs, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"
        )
        return None

    async def _delete(self, rs: AnySet, pod: WorkloadPod) -> None:
        if await self._caches.delete(PODS, pod):
            self._events.record(
                COMPONENTS[self._gvr], self._gvr, rs, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}"
            )

    async def _write_status(self, key: ObjectKey, failure: StatusError | None) -> None:
        caches = self._caches
        rs = self._sets.get(key)
        if rs is None:
            return
        pods = caches.pods_of.get(rs.metadata.uid)
        wanted = plan_status(rs, pods, failure=failure.message if failure else "", now=caches.clock.time())
        if wanted != rs.status:
            await caches.patch(self._gvr, key, status_patch(rs.status, wanted), subresource="status")

    def _tell(self, rs: AnySet, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.record(COMPONENTS[self._gvr], self._gvr, rs, reason, message, warning=warning)
