"""The worker of one pod: looks, writes the status, plans, applies, waits for the next reason to look.

It is the pod's only writer, on the node and in the API. What takes time (images, starts, hooks) runs in tasks of its
own that ring when they are done, so that a deletion never waits for a pull. Reasons to look again: the pod changed,
a container started or ended, a probe has a verdict, a ConfigMap changed, or the moment the plan waits for has come.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from seamark.agent.admission import select_rejection
from seamark.agent.asker import Asker
from seamark.agent.context import NodeContext
from seamark.agent.look import Backoff, Ending, Failure, Kill, Look, UsedImage, is_running, is_settled, select_current
from seamark.agent.messages import read_message
from seamark.agent.phase import is_any_running
from seamark.agent.pod_state import compute_status
from seamark.agent.podevents import PodEvents
from seamark.agent.podplan import (
    FIRST_BACKOFF,
    MAX_BACKOFF,
    Action,
    CancelStarts,
    CreateSandbox,
    Finish,
    NoteBackoff,
    NoteKill,
    RemoveSandbox,
    RunHook,
    Signal,
    StartContainer,
    plan_pod,
)
from seamark.agent.podsetup import PodSetup, SetupError
from seamark.agent.podspec import Container, Pod
from seamark.agent.podstart import PodStart
from seamark.agent.podstatus import StatusWriter
from seamark.agent.prober import Prober
from seamark.agent.refusals import REASON, select_ignored, select_refused
from seamark.agent.timers import Alarm, cancel, within
from seamark.client.base import TransportError
from seamark.linux.runtime import RuntimeFault, SandboxState
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError

logger = logging.getLogger(__name__)

RETRY = 1.0
SETTLE_POLL = 0.02
LEAVE_PATIENCE = 1.0
LEAVE_LINGER = 0.05
"""Seconds for the connections that were on their way when the last rule changed."""
SHUTDOWN_PATIENCE = 1.0
KILL_PATIENCE = 1.0


@dataclass(slots=True)
class _Memory:
    """What only this agent knows of the pod; lost with it, and then found again or done without."""

    ip: str = ""
    blocked: Failure | None = None
    failures: dict[str, Failure] = field(default_factory=dict)
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    kills: dict[str, Kill] = field(default_factory=dict)
    images: dict[str, UsedImage] = field(default_factory=dict)
    messages: dict[tuple[str, int], str] = field(default_factory=dict)
    noted: set[tuple[str, int]] = field(default_factory=set)  # ended attempts whose BackOff was told

    def forget_before(self, name: str, attempt: int) -> None:
        """What was kept of attempts that nothing shows any more."""
        for key in [k for k in self.messages if k[0] == name and k[1] < attempt - 1]:
            del self.messages[key]
        self.noted = {k for k in self.noted if k[0] != name or k[1] >= attempt - 1}


class PodWorker:
    def __init__(self, context: NodeContext, pod: Pod, *, adopted: SandboxState | None = None) -> None:
        self.pod = pod
        self._context = context
        self._gone = False
        self._done = False
        self._dirty = adopted is not None  # volumes have to be compared with the API
        self._alarm = Alarm(context.clock)
        self._memory = _Memory()
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by container; "" = the sandbox
        self._hooks: dict[str, asyncio.Task[None]] = {}
        self._leave: asyncio.Task[None] | None = None
        self._setup = PodSetup(context, pod.uid, wake=self._source_changed)
        self._status = StatusWriter(context.client)
        asker = Asker(pod.uid, runtime=context.runtime, connect=context.connect, clock=context.clock)
        self._asker = asker
        self._prober = Prober(asker, clock=context.clock, wake=self.wake, tell=self._warn)
        self._refused = select_refused(pod)
        self._ending: Ending | None = None
        if adopted is not None:
            self._adopt(adopted)
        elif not pod.is_finished:
            self._reject(select_rejection(pod, context.pressures(), context.neighbours()))

    @property
    def events(self) -> PodEvents:
        return PodEvents(self._context.recorder, self.pod)

    def wake(self) -> None:
        self._alarm.ring()

    def update(self, pod: Pod) -> None:
        """The API has a newer version."""
        if _revision(pod) < _revision(self.pod):
            return
        changed = pod.metadata.labels != self.pod.metadata.labels
        changed = changed or pod.metadata.annotations != self.pod.metadata.annotations
        self._dirty = self._dirty or changed
        if pod.metadata.uid != self.pod.metadata.uid:  # a new mirror of a static pod: nothing is written there yet
            self._status = StatusWriter(self._context.client)
        self.pod = pod
        self.wake()

    def end(self, ending: Ending) -> None:
        """The node ends the pod, which fails."""
        if self._ending is None and not (self.pod.is_finished or self._gone):
            self._ending = ending
            self.events.warning(ending.reason, ending.message)
            self.wake()

    def _reject(self, ending: Ending | None) -> None:
        if ending is not None:
            self.events.warning(ending.reason, ending.message)
            self._ending = replace(ending, message=f"Pod was rejected: {ending.message}")

    def forget(self) -> None:
        """The API no longer has the pod."""
        self._gone = True
        self.wake()

    async def run(self) -> None:
        """Until nothing of the pod is left here."""
        self._tell_unsupported()
        try:
            while True:
                try:
                    wake_at = await self._step()
                except (StatusError, TransportError, RuntimeFault, OSError) as error:
                    logger.warning("pod step failed pod=%s error=%s", self.pod.key, error)
                    wake_at = self._context.clock.time() + RETRY
                if self._done:
                    return
                await self._alarm.wait(wake_at)
        finally:
            leave = (self._leave,) if self._leave is not None else ()
            await cancel(*self._tasks.values(), *self._hooks.values(), *leave)
            await self._prober.close()
            self._setup.close()

    async def stop(self) -> None:
        """The node goes down, after ``run`` was cancelled: containers end, their last state is written, the sandbox
        goes. The pod stays in the API and runs again when the node is back.
        """
        runtime, uid = self._context.runtime, self.pod.uid
        patience = min(float(self.pod.spec.termination_grace_period_seconds), SHUTDOWN_PATIENCE)
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, KILL_PATIENCE)):
            running = [c.name for c in self._containers() if is_running(await self._look(), c.name)]
            for name in running:
                await runtime.signal_container(uid, name, number)
            end = self._now + seconds
            while is_any_running(await self._look()) and self._now < end:
                await self._alarm.wait(end)
        if not (self._gone or self.pod.is_finished):
            await self._write_status(await self._look())
        await runtime.remove_sandbox(uid)

    async def _step(self) -> float | None:
        renew_at = self._setup.renew_at
        if self._dirty or (renew_at is not None and renew_at <= self._now):
            await self._refresh()
        look = await self._look()
        self._begin_leave(look)
        self._prober.sync(look)
        look = replace(look, verdicts=dict(self._prober.verdicts))
        if not self._gone and not (self.pod.is_finished and look.sandbox is None):
            await self._write_status(look)
        leaving = self._leave is not None and not self._leave.done() and not self._gone
        plan = plan_pod(replace(look, pod=self.pod, gone=self._gone, leaving=leaving))
        for action in plan.actions:
            await self._apply(action)
        renew_at = None if self._gone or self.pod.is_terminating or self.pod.is_finished else self._setup.renew_at
        settling = look.alive and any(is_running(look, c.name) and not is_settled(look, c) for c in self._containers())
        settle_at = self._now + SETTLE_POLL if settling else None
        return min((m for m in (plan.wake_at, renew_at, settle_at) if m is not None), default=None)

    def _begin_leave(self, look: Look) -> None:
        """A deleted pod serves on until nothing sends it new connections: no request is lost to its end."""
        wanted = self.pod.is_terminating and self.pod.metadata.deletion_grace_period_seconds != 0
        if self._leave is None and wanted and look.alive and look.ip:
            self._leave = asyncio.create_task(self._wait_unrouted(look.ip), name=f"leave {self.pod.key}")

    async def _wait_unrouted(self, ip: str) -> None:
        unrouted, clock = self._context.config.unrouted, self._context.clock
        try:
            if unrouted is not None:
                await within(clock, LEAVE_PATIENCE, unrouted(ip))
                await clock.sleep(LEAVE_LINGER)
        except TimeoutError:
            logger.info("still routed, ended all the same pod=%s", self.pod.key)
        except Exception:  # whoever is asked may fail; the pod has to end nevertheless
            logger.exception("cannot tell whether connections still come pod=%s", self.pod.key)
        finally:
            self.wake()

    async def _write_status(self, look: Look) -> None:
        written = await self._status.write(self.pod, lambda pod: compute_status(replace(look, pod=pod)))
        if written is None:
            self._gone = not self.pod.static_uid
        elif _revision(written) >= _revision(self.pod):
            self.pod = written

    async def _look(self) -> Look:
        memory, now = self._memory, self._context.clock.time()
        look = Look(
            pod=self.pod,
            now=now,
            sandbox=await self._context.runtime.state(self.pod.uid),
            gone=self._gone,
            ip=memory.ip,
            host_ip=self._context.config.node_ip,
            runtime=self._context.runtime.version.partition(":")[0],
            refused=self._refused,
            ending=self._ending,
            blocked=memory.blocked,
            busy=frozenset(self._tasks),
            failures=dict(memory.failures),
            backoffs=dict(memory.backoffs),
            images=dict(memory.images),
        )
        for container in self._containers():
            current = select_current(look, container.name)
            if not is_running(look, container.name):
                memory.kills.pop(container.name, None)
            if current is not None and current.status == "exited":
                key = (container.name, current.attempt)
                if key not in memory.messages:
                    memory.forget_before(*key)
                    memory.messages[key] = read_message(self._setup.directory, container, current)
        listening = frozenset(c.name for c in self._containers() if self._listens(look, c))
        return replace(look, kills=dict(memory.kills), messages=dict(memory.messages), listening=listening)

    def _listens(self, look: Look, container: Container) -> bool:
        current = select_current(look, container.name)
        asked = current is not None and current.status == "running" and not is_settled(look, container)
        return asked and current is not None and self._context.listens(current.pid) is not False

    async def _apply(self, action: Action) -> None:
        match action:
            case CreateSandbox():
                self._begin("", self._create_sandbox())
            case RemoveSandbox(why):
                await self._remove_sandbox(why)
            case StartContainer(name, attempt, backoff):
                self._begin(name, self._start_container(name, attempt, backoff))
            case NoteBackoff(name, attempt, text):
                self._note_backoff(name, attempt, text)
            case NoteKill(name, kill, text):
                self._memory.kills[name] = kill
                if text:
                    self.events.normal("Killing", text, self._container(name))
            case RunHook(name, timeout):
                self._hooks[name] = asyncio.create_task(self._run_hook(name, timeout), name=f"preStop of {name}")
            case Signal(name, number):
                await self._context.runtime.signal_container(self.pod.uid, name, number)
            case CancelStarts():
                await cancel(*self._tasks.values())
                self._tasks.clear()
                self.wake()
            case Finish():
                await self._finish()

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:  # a defect: said, and tried again later like any failure
                logger.exception("start failed pod=%s container=%s", self.pod.key, name)
                failure = Failure("StartError", "see the agent's log", self._now, FIRST_BACKOFF)
                if name:
                    self._memory.failures[name] = failure
                else:
                    self._memory.blocked = failure
            finally:
                self._tasks.pop(name, None)
                self.wake()

        self._tasks[name] = asyncio.create_task(guarded(), name=f"start {self.pod.key} {name}")

    async def _create_sandbox(self) -> None:
        start = PodStart(self._context, self._setup, self.pod, self._asker)
        try:
            self._memory.ip = await start.create_sandbox()
        except SetupError as error:
            self._memory.blocked = start.failed(self._memory.blocked, error, None)
            return
        self._memory.blocked = None

    async def _start_container(self, name: str, attempt: int, backoff: Backoff | None) -> None:
        container = self._container(name)
        start = PodStart(self._context, self._setup, self.pod, self._asker)
        try:
            digest = await start.start_container(container, attempt=attempt, ip=self._memory.ip)
        except SetupError as error:
            self._memory.failures[name] = start.failed(self._memory.failures.get(name), error, container)
            return
        self._memory.images[name] = UsedImage(container.image, digest)
        self._memory.failures.pop(name, None)
        if backoff is not None:
            self._memory.backoffs[name] = backoff

    async def _remove_sandbox(self, why: str) -> None:
        if why:
            self.events.normal("SandboxChanged", why)
        await self._context.runtime.remove_sandbox(self.pod.uid)
        if not why:  # the pod is over: its address is free, its volumes and logs stay until it is deleted
            self._context.addresses.free(self.pod.uid)
        self.wake()

    async def _finish(self) -> None:
        uid = self.pod.uid
        await self._prober.close()
        await self._context.runtime.remove_sandbox(uid)
        self._setup.close()
        self._setup.directory.remove()
        if not self._gone:
            meta = self.pod.metadata
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta.uid}}
            try:
                await self._context.client.delete(PODS, meta.name, namespace=meta.namespace, options=options)
            except StatusError as error:
                if error.code not in (404, 409):
                    raise
        self._context.addresses.free(uid)
        self._done = True

    async def _run_hook(self, name: str, timeout: float) -> None:
        container = self._container(name)
        start = PodStart(self._context, self._setup, self.pod, self._asker)
        try:
            await start.run_pre_stop(container, ip=self._memory.ip, timeout=timeout)
        finally:
            kill = self._memory.kills.get(name)
            if kill is not None and kill.hook_ended is None:
                self._memory.kills[name] = replace(kill, hook_ended=self._now)
            self.wake()

    async def _refresh(self) -> None:
        """A source changed: what failed for want of it is tried again at once, and volumes follow."""
        if not self._memory.ip or self._gone or self.pod.is_terminating or self.pod.is_finished:
            return
        self._dirty = False
        try:
            await self._setup.refresh(self.pod, self._memory.ip)
        except SetupError as error:
            self.events.warning(error.reason, error.message)
        except RuntimeFault:  # the sandbox is gone; the next one gets all of it
            pass

    def _source_changed(self) -> None:
        self._dirty = True
        if self._memory.blocked is not None:
            self._memory.blocked = replace(self._memory.blocked, delay=0.0)
        for name, failure in self._memory.failures.items():
            if failure.reason == "CreateContainerConfigError":
                self._memory.failures[name] = replace(failure, delay=0.0)
        self.wake()

    def _note_backoff(self, name: str, attempt: int, text: str) -> None:
        if (name, attempt) not in self._memory.noted:
            self._memory.noted.add((name, attempt))
            self.events.warning("BackOff", text[0].upper() + text[1:], self._container(name))

    def _warn(self, reason: str, container: Container, text: str) -> None:
        self.events.warning(reason, text, container)

    def _tell_unsupported(self) -> None:
        for text in self._refused:
            self.events.warning(REASON, text)
        if not self._memory.ip:
            for text in select_ignored(self.pod):
                self.events.warning("IgnoredFeature", text)

    def _adopt(self, sandbox: SandboxState) -> None:
        """What is known of restarts comes from the attempts: nobody gets a fresh series for our restart. A container's
        first attempt in a sandbox is no restart, and what ended with its sandbox did not end by its own fault.
        """
        self._memory.ip = sandbox.config.ip or self._context.config.node_ip
        for written in self.pod.status.all_statuses:
            if written.container_id:
                self._memory.images[written.name] = UsedImage(written.image, written.image_id)
        tries = Counter(container.name for container in sandbox.containers)
        for container in sorted(sandbox.containers, key=lambda c: c.attempt):
            if sandbox.alive and tries[container.name] > 1 and container.attempt > 0:
                delay = min(FIRST_BACKOFF * 2 ** (min(container.attempt, 10) - 1), MAX_BACKOFF)
                self._memory.backoffs[container.name] = Backoff(delay, container.started)

    def _containers(self) -> tuple[Container, ...]:
        return self.pod.spec.all_containers

    def _container(self, name: str) -> Container:
        return next(c for c in self._containers() if c.name == name)

    @property
    def _now(self) -> float:
        return self._context.clock.time()


def _revision(pod: Pod) -> int:
    text = pod.metadata.resource_version
    return int(text) if text.isdecimal() else 0
