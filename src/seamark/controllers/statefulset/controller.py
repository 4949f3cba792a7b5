"""StatefulSets: wiring. Revision first, then claims, then one step of the plan, then the status."""

from __future__ import annotations

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.claims import apply_claims, apply_history, owner_keys
from seamark.controllers.history import select_surplus, template_of
from seamark.controllers.owners import compile_selector, select_claims
from seamark.controllers.runtime import Controller
from seamark.controllers.statefulset.claims import claim_names, plan_claim_owners, render_claims
from seamark.controllers.statefulset.plan import CreatePod, DeletePod, Revisions, ordinals, plan_pods, plan_status
from seamark.controllers.statefulset.pods import ordinal_of, render_stateful_pod, revision_of
from seamark.controllers.workloads import StatefulSet, WorkloadPod, status_patch
from seamark.machinery.gvr import CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

COMPONENT = "statefulset-controller"


class StatefulSetController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self.controller = Controller("statefulset", self.reconcile, clock=caches.clock)
        caches.statefulsets.on_change(self._on_set)
        caches.pods.on_change(self._on_pod)

    def _on_set(self, old: StatefulSet | None, new: StatefulSet | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        for key in owner_keys(STATEFULSETS, self._caches.statefulsets_in, old, new):
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        ss = caches.statefulsets.get(key)
        selector = compile_selector(ss.spec.selector) if ss else None
        if ss is None or selector is None:
            return None
        named = [pod for pod in caches.pods_of.get(("", key.namespace)) if ordinal_of(ss, pod) is not None]
        claims = select_claims(ss, selector, caches.pods_of.get(ss.metadata.uid), named)
        await apply_claims(caches, PODS, ss, STATEFULSETS, claims)
        update = await apply_history(caches, ss, STATEFULSETS, ss.spec.template, ss.status.collision_count)
        revisions = Revisions(ss.status.current_revision or update, update)
        await self._settle_claims(ss, caches.pods_of.get(ss.metadata.uid))
        plan = plan_pods(ss, caches.pods_of.get(ss.metadata.uid), revisions, now=caches.clock.time())
        for action in plan.actions:
            match action:
                case CreatePod(ordinal, revision):
                    await self._create(ss, ordinal, revision)
                case DeletePod(pod):
                    await self._delete(ss, pod)
        await self._write_status(key, revisions)
        return plan.again

    async def _settle_claims(self, ss: StatefulSet, pods: list[WorkloadPod]) -> None:
        """Before a pod goes: its claims must name it as an owner first, or they would stay behind."""
        for pod in pods:
            ordinal = ordinal_of(ss, pod)
            for name in claim_names(ss, ordinal) if ordinal is not None else ():
                claim = self._caches.claims.get(ObjectKey(ss.metadata.namespace, name))
                condemned = ordinal not in ordinals(ss)
                patch = plan_claim_owners(ss, claim, pod, condemned=condemned) if claim is not None else None
                if claim is not None and patch is not None:
                    await self._caches.patch(PERSISTENTVOLUMECLAIMS, claim.key, patch)

    async def _create(self, ss: StatefulSet, ordinal: int, revision: str) -> None:
        caches = self._caches
        for claim in render_claims(ss, ordinal):
            where = ObjectKey(ss.metadata.namespace, claim["metadata"]["name"])
            if caches.claims.get(where) is None:
                await caches.create(PERSISTENTVOLUMECLAIMS, claim)
        stored = caches.revisions.get(ObjectKey(ss.metadata.namespace, revision))
        template = template_of(stored) if stored is not None else ss.spec.template
        name = f"{ss.metadata.name}-{ordinal}"
        try:
            await caches.create(PODS, render_stateful_pod(ss, template, ordinal, revision))
        except StatusError as error:
            message = f"create Pod {name} in StatefulSet {ss.metadata.name} failed error: {error.message}"
            self._events.record(COMPONENT, STATEFULSETS, ss, "FailedCreate", message, warning=True)
            raise
        message = f"create Pod {name} in StatefulSet {ss.metadata.name} successful"
        self._events.record(COMPONENT, STATEFULSETS, ss, "SuccessfulCreate", message)

    async def _delete(self, ss: StatefulSet, pod: WorkloadPod) -> None:
        if await self._caches.delete(PODS, pod):
            message = f"delete Pod {pod.metadata.name} in StatefulSet {ss.metadata.name} successful"
            self._events.record(COMPONENT, STATEFULSETS, ss, "SuccessfulDelete", message)

    async def _write_status(self, key: ObjectKey, revisions: Revisions) -> None:
        caches = self._caches
        ss = caches.statefulsets.get(key)
        if ss is None:
            return
        pods = caches.pods_of.get(ss.metadata.uid)
        wanted = plan_status(ss, pods, revisions, now=caches.clock.time())
        if wanted != ss.status:
            patch = status_patch(ss.status, wanted)
            await caches.patch(STATEFULSETS, key, patch, subresource="status")
        used = {wanted.current_revision, wanted.update_revision, *(revision_of(pod) for pod in pods)}
        kept = caches.revisions_of.get(ss.metadata.uid)
        for revision in select_surplus(kept, used, ss.spec.revision_history_limit):
            await caches.delete(CONTROLLERREVISIONS, revision)
