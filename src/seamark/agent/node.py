"""The agent of one node: keeps the Node registered, runs the pods that are bound to it, answers logs and exec.

Wiring only. Pods come from an informer on ``spec.nodeName``; each has a PodWorker of its own. At the start, what runs
is adopted: sandboxes whose pod still exists go to its worker with address and containers, the others are removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from random import Random

from seamark.agent.config import AgentConfig
from seamark.agent.connect import NodeConnector
from seamark.agent.context import AddressBook, NodeContext
from seamark.agent.evictor import Evictor, read_usages, run_storage_limits
from seamark.agent.logfiles import read_log_file
from seamark.agent.machine import observe_machine, read_machine
from seamark.agent.poddir import PodDir
from seamark.agent.podspec import Pod
from seamark.agent.registration import Registration, render_allocatable
from seamark.agent.sources import ConfigSources
from seamark.agent.staticpods import MIRROR, StaticPods
from seamark.agent.streams import PodStreams
from seamark.agent.timers import attempt, cancel
from seamark.agent.worker import PodWorker
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.client.informer import Informer
from seamark.linux.runtime import Images, Runtime, RuntimeFault, SandboxState
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.machinery.streams import AttachRequest, ByteStream, ExecIO, ExecRequest, LogFolder, LogRequest
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

logger = logging.getLogger(__name__)

IMAGE_GARBAGE_PERIOD = 300.0


class NodeAgent:
    """``run`` until cancelled or shut down. It is a NodeStreams for the API server."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        client: Client,
        runtime: Runtime,
        images: Images,
        clock: Clock,
        rng: Random,
    ) -> None:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        machine = replace(read_machine(config.state_dir), runtime=runtime.version)
        self._config = config
        self._runtime = runtime
        self._images = images
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}  # of workers, by pod uid
        self._running: list[asyncio.Task[None]] = []
        self._stopped = False
        self._adopted = asyncio.Event()
        self._evictor = self._make_evictor(config, runtime, clock)
        pressures = self._evictor.pressures
        self._registration = Registration(config, machine, client=client, clock=clock, rng=rng, pressures=pressures)
        self._evictor.changed = self._registration.wake
        self._pods = Informer(client, PODS, Pod, clock=clock, field_selector=f"spec.nodeName={config.node}")
        self._context = NodeContext(
            config=config,
            client=client,
            runtime=runtime,
            images=images,
            clock=clock,
            recorder=EventRecorder(client, clock=clock, host=config.node),
            services=Informer(client, SERVICES, Service, clock=clock),
            sources=ConfigSources(client, clock),
            addresses=AddressBook(config.pod_cidr),
            connect=NodeConnector(config.netns),
            allocatable=render_allocatable(config, machine),
            neighbours=lambda: [w.pod for w in self._list_workers() if not w.pod.is_finished],
            pressures=pressures,
        )
        self._static = StaticPods(
            config.static_pods,
            config.node,
            client=client,
            clock=clock,
            mirrors=lambda: [pod for pod in self._pods.items.values() if MIRROR in pod.annotations],
            running=self._running_uids,
        )
        self._streams = PodStreams(
            config.state_dir, runtime=runtime, clock=clock, connect=self._context.connect, find=self._find
        )

    def _make_evictor(self, config: AgentConfig, runtime: Runtime, clock: Clock) -> Evictor:
        images = config.images or config.state_dir
        return Evictor(
            config.eviction_hard,
            observe=lambda: observe_machine(config.state_dir, images),
            workers=self._list_workers,
            usages=partial(read_usages, runtime, config.state_dir / "pods"),
            reclaim=self._reclaim,
            clock=clock,
        )

    async def _run_storage_limits(self) -> None:
        await run_storage_limits(self._list_workers, self._config.state_dir / "pods", self._context.clock)

    def _list_workers(self) -> list[PodWorker]:
        return list(self._workers.values())

    async def _reclaim(self) -> None:
        """Disk that no pod needs."""
        await self._images.collect_garbage(self._config.node, self._named_images(), everything=True)

    async def _run_image_garbage(self) -> None:
        while True:
            await self._context.clock.sleep(IMAGE_GARBAGE_PERIOD)
            collecting = self._images.collect_garbage(self._config.node, self._named_images())
            await attempt("collection of images", collecting)

    def _named_images(self) -> frozenset[str]:
        pods = [worker.pod for worker in self._workers.values()]
        return frozenset(container.image for pod in pods for container in pod.spec.all_containers)

    async def run(self) -> None:
        """Pods keep running when this ends."""
        changes = self._runtime.changes()
        self._running = [
            asyncio.create_task(self._registration.run(), name=f"registration of {self._config.node}"),
            asyncio.create_task(self._context.recorder.run(), name="events"),
            asyncio.create_task(self._context.services.run(), name="services"),
            asyncio.create_task(self._pods.run(), name="pods"),
            asyncio.create_task(self._run_pods(changes), name="pod workers"),
            asyncio.create_task(self._run_static(), name="static pods"),
            asyncio.create_task(self._evictor.run(), name="eviction"),
            asyncio.create_task(self._run_storage_limits(), name="storage limits"),
            asyncio.create_task(self._run_image_garbage(), name="image garbage"),
        ]
        try:
            await asyncio.gather(*self._running)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            await self._stop()

    async def shutdown(self, stop_pods: bool) -> None:  # noqa: FBT001 - the composition root's one choice
        """With ``stop_pods`` every container ends and every sandbox goes; the objects in the API stay."""
        self._stopped = True
        workers = list(self._workers.values())
        await cancel(*self._tasks.values())
        if stop_pods:
            results = await asyncio.gather(*(worker.stop() for worker in workers), return_exceptions=True)
            for error in results:
                if isinstance(error, BaseException):
                    logger.warning("pod did not stop cleanly node=%s error=%s", self._config.node, error)
            await asyncio.gather(*(self._remove(s) for s in await self._runtime.list_sandboxes()))
        await self._stop()

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        return self._streams.logs(request)

    async def log_file(self, path: str) -> LogFolder | bytes | None:
        pods = [worker.pod for worker in self._list_workers()]
        return await asyncio.to_thread(read_log_file, path, pods, self._config.state_dir)

    async def exec(self, request: ExecRequest, io: ExecIO) -> int:
        return await self._streams.exec(request, io)

    async def attach(self, request: AttachRequest, io: ExecIO) -> None:
        await self._streams.attach(request, io)

    async def port_forward(self, namespace: str, pod: str, port: int) -> ByteStream:
        return await self._streams.port_forward(namespace, pod, port)

    async def dial(self, host: str, port: int, *, tls: bool) -> ByteStream:
        return await self._streams.dial(host, port, tls=tls)

    def _find(self, key: ObjectKey) -> Pod | None:
        """As its worker knows it: what was just written counts before the watch has brought it."""
        found = self._pods.get(key)
        pod = self._static.view(found) if found is not None else None
        worker = self._workers.get(pod.uid) if pod is not None else None
        return worker.pod if worker is not None else pod

    async def _run_pods(self, changes: AsyncIterator[str]) -> None:
        await self._pods.wait_synced()
        self._static.scan()
        await self._adopt()
        self._pods.on_change(self._pod_changed)
        self._adopted.set()
        async for uid in changes:
            worker = self._workers.get(uid)
            if worker is not None:
                worker.wake()

    async def _run_static(self) -> None:
        await self._adopted.wait()
        await self._static.run()

    async def _adopt(self) -> None:
        known = {pod.uid: pod for pod in map(self._static.view, self._pods.items.values())}
        sandboxes = await self._runtime.list_sandboxes()
        for sandbox in sorted(sandboxes, key=lambda s: s.created):
            pod = known.get(sandbox.config.uid)
            if pod is None:
                await self._remove(sandbox)
                continue
            if sandbox.config.ip:
                self._context.addresses.adopt(pod.uid, sandbox.config.ip)
            self._start(pod, adopted=sandbox)
        self._remove_leftovers(set(known))

    def _remove_leftovers(self, known: set[str]) -> None:
        """Directories of pods that were deleted while no agent ran."""
        pods = self._config.state_dir / "pods"
        for place in pods.iterdir() if pods.is_dir() else ():
            if place.name not in known:
                PodDir.of(self._config.state_dir, place.name).remove()

    async def _remove(self, sandbox: SandboxState) -> None:
        try:
            await self._runtime.remove_sandbox(sandbox.config.uid)
        except (RuntimeFault, OSError) as error:
            where = f"{sandbox.config.namespace}/{sandbox.config.name}"
            logger.warning("sandbox not removed pod=%s error=%s", where, error)

    def _pod_changed(self, old: Pod | None, new: Pod | None, seen: float) -> None:
        if any(pod is not None and MIRROR in pod.annotations for pod in (old, new)):
            self._static.wake()
        if new is None:
            if old is not None and not self._static.view(old).static_uid:
                self._forget(old)
            return
        new = self._static.view(new)
        worker = self._workers.get(new.uid)
        if worker is not None:
            worker.update(new)
        elif not self._stopped and not _is_left_to_others(new):
            self._start(new, adopted=None)

    def _forget(self, old: Pod) -> None:
        """The mirror of a static pod whose file is gone names it by its annotation."""
        worker = self._workers.get(old.uid)
        static = self._workers.get(old.annotations.get(MIRROR, ""))
        if worker is None and static is not None and static.pod.static_uid and static.pod.key == old.key:
            worker = static
        if worker is not None:
            worker.forget()

    def _running_uids(self) -> dict[ObjectKey, frozenset[str]]:
        found: dict[ObjectKey, frozenset[str]] = {}
        for uid, worker in self._workers.items():
            found[worker.pod.key] = found.get(worker.pod.key, frozenset()) | {uid}
        return found

    def _start(self, pod: Pod, *, adopted: SandboxState | None) -> None:
        worker = PodWorker(self._context, pod, adopted=adopted)
        task = asyncio.create_task(worker.run(), name=f"pod {pod.key}")
        self._workers[pod.uid] = worker
        self._tasks[pod.uid] = task
        task.add_done_callback(lambda done: self._ended(pod, done))

    def _ended(self, pod: Pod, task: asyncio.Task[None]) -> None:
        self._tasks.pop(pod.uid, None)
        if task.cancelled():
            return
        self._workers.pop(pod.uid, None)
        if pod.static_uid:
            self._static.wake()
        error = task.exception()
        if error is not None:
            logger.error("worker broke pod=%s", pod.key, exc_info=error)
            self._start_again(pod)

    def _start_again(self, pod: Pod) -> None:
        """A defect in one pod's worker must not leave the pod without one; the loop is slowed by the clock."""

        async def later() -> None:
            await self._context.clock.sleep(10.0)
            found = self._pods.get(pod.key)
            current = self._static.view(found) if found is not None else None
            if current is not None and current.uid == pod.uid and pod.uid not in self._workers:
                self._start(current, adopted=await self._runtime.state(pod.uid))

        self._running.append(asyncio.create_task(later(), name=f"restart worker of {pod.key}"))

    async def _stop(self) -> None:
        await cancel(*self._tasks.values(), *self._running)
        with contextlib.suppress(StatusError, TransportError):
            await self._context.sources.close()


def _is_left_to_others(pod: Pod) -> bool:
    """Deleted without patience and not run here: only somebody's finalizer keeps the object. Or a mirror of nothing."""
    if MIRROR in pod.annotations and not pod.static_uid:
        return True
    return pod.is_terminating and pod.metadata.deletion_grace_period_seconds == 0
