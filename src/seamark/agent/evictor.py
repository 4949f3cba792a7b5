"""Watches the node's memory, disk and process ids, and ends pods where they run short (``eviction.py`` decides).

One pod at a time: the next one goes only when the last is through, or did not end in time. Before a pod goes for want
of disk, images that nobody uses do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from seamark.agent.eviction import (
    TRANSITION,
    Observations,
    Threshold,
    Usage,
    is_critical,
    rank_pods,
    render_ending,
    select_met,
)
from seamark.agent.look import Ending
from seamark.agent.machine import disk_used
from seamark.agent.podspec import Pod
from seamark.agent.storagelimits import StorageUse, has_storage_limits, is_on_disk, select_exceeded
from seamark.agent.timers import attempt
from seamark.linux.runtime import Runtime
from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

PERIOD = 10.0
PATIENCE = 30.0


class Evictable(Protocol):
    @property
    def pod(self) -> Pod: ...

    def end(self, ending: Ending) -> None: ...


class Evictor:
    """``observe`` and ``workers`` give what is now; ``reclaim`` frees disk that no pod needs. ``changed`` is called
    when there is a new pressure: until it is known, controllers make pods that this node cannot take.
    """

    def __init__(
        self,
        thresholds: tuple[Threshold, ...],
        *,
        observe: Callable[[], Observations],
        workers: Callable[[], Iterable[Evictable]],
        usages: Callable[[str, list[Pod]], Awaitable[Mapping[str, Usage]]],
        reclaim: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._thresholds = thresholds
        self._observe = observe
        self._workers = workers
        self._usages = usages
        self._reclaim = reclaim
        self._clock = clock
        self.changed: Callable[[], None] = lambda: None
        self._met: dict[str, float] = {}  # condition -> when its threshold was last met
        self._evicted: tuple[str, float] | None = None

    def pressures(self) -> frozenset[str]:
        """The node conditions that are true."""
        now = self._clock.time()
        return frozenset(kind for kind, last in self._met.items() if now < last + TRANSITION)

    async def run(self) -> None:
        while self._thresholds:
            await attempt("eviction", self.step())
            await self._clock.sleep(PERIOD)

    async def step(self) -> None:
        seen = self._observe()
        met = self._note(select_met(self._thresholds, seen))
        if met and met[0].signal.condition == "DiskPressure":
            await self._reclaim()
            seen = self._observe()
            met = self._note(select_met(self._thresholds, seen))
        if met and not self._is_waiting():
            await self._evict(met[0], seen)

    def _note(self, met: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
        before = self.pressures()
        for threshold in met:
            self._met[threshold.signal.condition] = self._clock.time()
        if self.pressures() != before:
            self.changed()
        return met

    def _is_waiting(self) -> bool:
        """For the end of the pod that was evicted last."""
        if self._evicted is None:
            return False
        uid, since = self._evicted
        alive = any(w.pod.uid == uid and not w.pod.is_finished for w in self._workers())
        return alive and self._clock.time() < since + PATIENCE

    async def _evict(self, threshold: Threshold, seen: Observations) -> None:
        workers = {worker.pod.uid: worker for worker in self._workers()}
        pods = [w.pod for w in workers.values() if not (w.pod.is_finished or w.pod.is_terminating)]
        candidates = [pod for pod in pods if not is_critical(pod)]
        usages = await self._usages(threshold.signal.resource, candidates)
        ranked = rank_pods(candidates, threshold.signal.resource, usages)
        if not ranked:
            logger.warning("%s: under its threshold, and no pod may be evicted", threshold.signal.name)
            return
        first = ranked[0]
        ending = render_ending(first, threshold, seen, usages.get(first.uid, Usage()))
        logger.warning("evicting pod=%s %s", first.key, ending.message)
        self._evicted = (first.uid, self._clock.time())
        workers[first.uid].end(ending)


async def run_storage_limits(workers: Callable[[], Iterable[Evictable]], pods_directory: Path, clock: Clock) -> None:
    """Ends pods that are over a limit of their own, however much there is left."""
    while True:
        await clock.sleep(PERIOD)
        await attempt("look at limits of storage", _end_exceeding(workers(), pods_directory))


async def _end_exceeding(workers: Iterable[Evictable], pods_directory: Path) -> None:
    limited = [w for w in workers if has_storage_limits(w.pod) and not (w.pod.is_finished or w.pod.is_terminating)]
    for worker in limited:
        pod = worker.pod
        ending = select_exceeded(pod, await asyncio.to_thread(_storage_use, pods_directory / pod.uid, pod))
        if ending is not None:
            logger.warning("evicting pod=%s %s", pod.key, ending.message)
            worker.end(ending)


def _storage_use(directory: Path, pod: Pod) -> StorageUse:
    volumes = [volume.name for volume in pod.spec.volumes or [] if is_on_disk(volume)]
    used = {name: disk_used(directory / "volumes" / name) for name in volumes}
    return StorageUse(_containers_on_disk(directory, pod), used)


async def read_usages(runtime: Runtime, pods_directory: Path, resource: str, pods: list[Pod]) -> Mapping[str, Usage]:
    """By uid. What runs short of inodes or process ids is not charged to anybody."""
    if resource == "memory":
        return {pod.uid: Usage(await runtime.memory(pod.uid)) for pod in pods}
    if resource == "ephemeral-storage":
        return await asyncio.to_thread(lambda: {pod.uid: _disk_usage(pods_directory / pod.uid, pod) for pod in pods})
    return {}


def _disk_usage(directory: Path, pod: Pod) -> Usage:
    return Usage(_containers_on_disk(directory, pod), disk_used(directory / "volumes"))


def _containers_on_disk(directory: Path, pod: Pod) -> dict[str, int]:
    """A container's is its writable layer and its logs."""
    return {
        container.name: disk_used(directory / "sandbox" / "containers" / container.name)
        + disk_used(directory / "logs" / container.name)
        for container in pod.spec.all_containers
    }
