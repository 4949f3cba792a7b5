"""Jobs: wiring. The status is written before any finalizer goes, so that no pod is lost from the count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from seamark.client.events import EventRecorder
from seamark.client.index import Index
from seamark.controllers.caches import Caches
from seamark.controllers.claims import apply_claims, owner_keys
from seamark.controllers.job.indexes import with_index
from seamark.controllers.job.objects import Job, JobStatus, Uncounted
from seamark.controllers.job.plan import MANAGER, TRACKING, Plan, plan_job
from seamark.controllers.owners import compile_selector, controller_of, select_claims
from seamark.controllers.pods import render_pod
from seamark.controllers.runtime import Controller, is_namespace_ending
from seamark.controllers.workloads import WorkloadPod, status_patch
from seamark.machinery.gvr import JOBS, PODS
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

COMPONENT = "job-controller"


class JobController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self._tracked = Index(caches.pods, _tracked_by)
        self.controller = Controller("job", self.reconcile, clock=caches.clock, workers=4)
        caches.jobs.on_change(self._on_job)
        caches.pods.on_change(self._on_pod)

    def _on_job(self, old: Job | None, new: Job | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        for key in owner_keys(JOBS, self._caches.jobs_in, old, new):
            self.controller.queue.add(key)
        for key in _tracked_by(new) if new is not None else ():
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        job = caches.jobs.get(key)
        if job is not None and job.spec.managed_by not in (None, MANAGER):
            return None
        await self._release_strangers(key, job)
        selector = compile_selector(job.spec.selector) if job else None
        if job is None or selector is None:
            return None
        orphans = caches.pods_of.get(("", key.namespace))
        claims = select_claims(job, selector, caches.pods_of.get(job.metadata.uid), orphans)
        await apply_claims(caches, PODS, job, JOBS, claims)
        plan = plan_job(job, caches.pods_of.get(job.metadata.uid), now=caches.clock.time())
        self._tell(job, plan.status)
        if plan.status != job.status:
            await caches.patch(JOBS, key, _patch(job.status, plan.status), subresource="status")
        await asyncio.gather(*(self._untrack(pod) for pod in plan.untrack))
        await self._apply(job, plan)
        return plan.again

    async def _release_strangers(self, key: ObjectKey, job: Job | None) -> None:
        """Pods of a Job that is gone, or of nobody, would wait for ever for somebody to count them."""
        uid = job.metadata.uid if job is not None else ""
        for pod in self._tracked.get(key):
            owner = controller_of(pod)
            if owner is None or owner.uid != uid:
                await self._untrack(pod)

    async def _untrack(self, pod: WorkloadPod) -> None:
        meta = pod.metadata
        left = [name for name in meta.finalizers or () if name != TRACKING]
        patch = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": left or None}}
        try:
            await self._caches.patch(PODS, pod.key, patch)
        except StatusError as error:
            if error.code != 404:
                raise

    async def _apply(self, job: Job, plan: Plan) -> None:
        await asyncio.gather(*(self._delete(job, pod) for pod in plan.delete))
        batch, left = 1, list(plan.create)
        while left:  # one, then two, four, …: a template the API refuses costs one request
            now, left = left[:batch], left[batch:]
            await asyncio.gather(*(self._create(job, index, plan) for index in now))
            batch *= 2

    async def _create(self, job: Job, index: int | None, plan: Plan) -> None:
        pod = render_pod(job.spec.template, job, JOBS)
        pod["metadata"]["finalizers"] = [*(pod["metadata"].get("finalizers") or ()), TRACKING]
        try:
            if index is not None:
                pod = with_index(pod, job, index, plan.failures.get(index, (0, 0)))
            made = await self._caches.create(PODS, pod)
        except StatusError as error:
            if not is_namespace_ending(error):
                text = f"Error creating: {error.message}"
                self._events.record(COMPONENT, JOBS, job, "FailedCreate", text, warning=True)
            raise
        self._events.record(COMPONENT, JOBS, job, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    async def _delete(self, job: Job, pod: WorkloadPod) -> None:
        if await self._caches.delete(PODS, pod):
            self._events.record(COMPONENT, JOBS, job, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    def _tell(self, job: Job, status: JobStatus) -> None:
        """What ``kubectl describe`` shows of a Job's life."""
        before = {(c.type, c.status) for c in job.status.conditions or ()}
        for c in status.conditions or ():
            if (c.type, c.status) in before:
                continue
            match c.type:
                case "Complete":
                    self._events.record(COMPONENT, JOBS, job, "Completed", "Job completed")
                case "Failed":
                    self._events.record(COMPONENT, JOBS, job, c.reason, c.message, warning=True)
                case "Suspended":
                    reason = "Suspended" if c.status == "True" else "Resumed"
                    self._events.record(COMPONENT, JOBS, job, reason, c.message)


def _patch(old: JobStatus, new: JobStatus) -> dict[str, Any]:
    """A merge goes into ``uncountedTerminatedPods`` as well: what is counted must be taken out by name."""
    patch, waiting = status_patch(old, new), new.uncounted_terminated_pods or Uncounted()
    patch["status"]["uncountedTerminatedPods"] = {"succeeded": waiting.succeeded, "failed": waiting.failed}
    return patch


def _tracked_by(pod: WorkloadPod) -> Iterable[ObjectKey]:
    """The key of the Job that counts the pod, without a name where none does."""
    if TRACKING not in (pod.metadata.finalizers or ()):
        return ()
    owner = controller_of(pod)
    name = owner.name if owner is not None and owner.kind == JOBS.kind else ""
    return (ObjectKey(pod.metadata.namespace, name),)
