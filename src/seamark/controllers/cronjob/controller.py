"""CronJobs: wiring. The Job is made first, then the status tells of it; its name keeps it from being made twice."""

from __future__ import annotations

import msgspec

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.cronjob.plan import Note, plan_cronjob, reference_to, render_job
from seamark.controllers.job.objects import CronJob, CronJobStatus, Job
from seamark.controllers.owners import controller_of
from seamark.controllers.runtime import Controller, is_namespace_ending
from seamark.controllers.workloads import status_patch
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CRONJOBS, JOBS
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.meta import ObjectKey

COMPONENT = "cronjob-controller"


class CronJobController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self.controller = Controller("cronjob", self.reconcile, clock=caches.clock)
        caches.cronjobs.on_change(self._on_cronjob)
        caches.jobs.on_change(self._on_job)

    def _on_cronjob(self, old: CronJob | None, new: CronJob | None, seen: float) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    def _on_job(self, old: Job | None, new: Job | None, seen: float) -> None:
        for job in (old, new):
            owner = controller_of(job) if job is not None else None
            if job is not None and owner is not None and owner.kind == CRONJOBS.kind:
                self.controller.queue.add(ObjectKey(job.metadata.namespace, owner.name))

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        cronjob = caches.cronjobs.get(key)
        if cronjob is None:
            return None
        plan = plan_cronjob(cronjob, caches.jobs_of.get(cronjob.metadata.uid), now=caches.clock.time())
        for note in plan.notes:
            self._tell(cronjob, note)
        for job in (*plan.replace, *plan.surplus):
            if await caches.delete(JOBS, job):
                self._tell(cronjob, Note("SuccessfulDelete", f"Deleted job {job.metadata.name}"))
        status = plan.status
        if plan.due is not None:
            status = await self._start(cronjob, status, plan.due)
        if status != cronjob.status:
            await caches.patch(CRONJOBS, key, status_patch(cronjob.status, status), subresource="status")
        return plan.again

    async def _start(self, cronjob: CronJob, status: CronJobStatus, due: float) -> CronJobStatus:
        try:
            made = codec.convert(await self._caches.create(JOBS, render_job(cronjob, due)), Job)
        except StatusError as error:
            if not is_namespace_ending(error):
                self._tell(cronjob, Note("FailedCreate", f"Error creating job: {error.message}", True))
            raise
        self._tell(cronjob, Note("SuccessfulCreate", f"Created job {made.metadata.name}"))
        active = [*(status.active or ()), reference_to(made)]
        return msgspec.structs.replace(status, active=active, last_schedule_time=format_time(due))

    def _tell(self, cronjob: CronJob, note: Note) -> None:
        self._events.record(COMPONENT, CRONJOBS, cronjob, note.reason, note.message, warning=note.warning)
