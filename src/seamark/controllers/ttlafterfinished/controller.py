"""Finished Jobs with ``ttlSecondsAfterFinished``: wiring."""

from __future__ import annotations

from seamark.controllers.caches import Caches
from seamark.controllers.job.objects import Job
from seamark.controllers.runtime import Controller
from seamark.controllers.ttlafterfinished.plan import seconds_left
from seamark.machinery.gvr import JOBS
from seamark.model.meta import ObjectKey


class TtlAfterFinishedController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("ttlafterfinished", self.reconcile, clock=caches.clock)
        caches.jobs.on_change(self._on_job)

    def _on_job(self, old: Job | None, new: Job | None, seen: float) -> None:
        if new is not None and new.spec.ttl_seconds_after_finished is not None and new.status.is_finished:
            self.controller.queue.add(new.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        job = self._caches.jobs.get(key)
        left = seconds_left(job, now=self._caches.clock.time()) if job is not None else None
        if job is None or left is None:
            return None
        if left > 0:
            return left
        await self._caches.delete(JOBS, job, options={"propagationPolicy": "Foreground"})
        return None
