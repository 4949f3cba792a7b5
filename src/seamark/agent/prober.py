"""Has the containers of one pod asked how they are (``asker.py``), and keeps a Verdict of each.

One task per running container attempt: the startup probe to its end, then readiness and liveness side by side.
``probes.py`` decides what results mean; every new verdict wakes the pod's worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from seamark.agent.asker import Asker
from seamark.agent.look import Look, Verdict, select_current
from seamark.agent.podspec import Container, Probe
from seamark.agent.probes import Kind, Tally, plan_probe_times
from seamark.agent.timers import cancel
from seamark.linux.runtime import ContainerState
from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

Tell = Callable[[str, Container, str], None]
"""Records the Event, by reason: ``Unhealthy``, ``Readiness probe failed: …``."""


class Prober:
    def __init__(self, asker: Asker, *, clock: Clock, wake: Callable[[], None], tell: Tell) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self._asker = asker
        self._clock = clock
        self._wake = wake
        self._tell = tell
        self._tasks: dict[str, tuple[int, asyncio.Task[None]]] = {}

    def sync(self, look: Look) -> None:
        """Probes exactly the attempts that run now."""
        for container in (*look.pod.spec.init_containers, *look.pod.spec.containers):
            if not (container.startup_probe or container.readiness_probe or container.liveness_probe):
                continue
            current = select_current(look, container.name)
            running = current is not None and current.status == "running"
            held = self._tasks.get(container.name)
            if held is not None and (current is None or not running or held[0] != current.attempt):
                held[1].cancel()
                del self._tasks[container.name]
                self.verdicts.pop(container.name, None)
                held = None
            if current is not None and running and held is None:
                self._start(container, current, look)

    async def close(self) -> None:
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        await cancel(*tasks)

    def _start(self, container: Container, current: ContainerState, look: Look) -> None:
        """What the API already says of this very attempt still holds: an agent that adopts a pod disturbs nobody."""
        name, attempt = container.name, current.attempt
        written = look.pod.written(name)
        known = written if written and written.state.running and written.restart_count == attempt else None
        started = container.startup_probe is None or bool(known and known.started)
        self.verdicts[name] = Verdict(attempt, started=started, ready=bool(known and known.ready))
        task = asyncio.create_task(self._run(container, current, look.ip), name=f"probes of {name} attempt {attempt}")
        self._tasks[name] = (attempt, task)

    async def _run(self, container: Container, current: ContainerState, ip: str) -> None:
        try:
            await self._probe(container, current, ip)
        except Exception:  # a defect: said, and the last verdict stands
            logger.exception("probes broke container=%s attempt=%d", container.name, current.attempt)

    async def _probe(self, container: Container, current: ContainerState, ip: str) -> None:
        if container.startup_probe and not self.verdicts[container.name].started:
            await self._repeat(container, container.startup_probe, "startup", current, ip)
            if not self.verdicts[container.name].started:
                return
        loops: list[Awaitable[None]] = []
        if container.readiness_probe:
            loops.append(self._repeat(container, container.readiness_probe, "readiness", current, ip))
        if container.liveness_probe:
            loops.append(self._repeat(container, container.liveness_probe, "liveness", current, ip))
        await asyncio.gather(*loops)

    async def _repeat(self, container: Container, probe: Probe, kind: Kind, current: ContainerState, ip: str) -> None:
        """Until the probe has nothing more to say: started, condemned, or (readiness) for ever."""
        tally = Tally(True) if kind == "readiness" and self.verdicts[container.name].ready else Tally()
        await self._clock.sleep(current.started + probe.initial_delay_seconds - self._clock.time())
        while True:
            began = self._clock.time()
            good, text = await self._asker.ask(container, probe, ip)
            if not good:
                self._tell("Unhealthy", container, f"{kind.capitalize()} probe failed: {text}")
            elif text:
                self._tell("ProbeWarning", container, f"{kind.capitalize()} probe warning: {text}")
            tally = self._count(container, probe, kind, tally, good=good)
            if self._is_settled(kind, tally):
                return
            eager = kind != "liveness" and tally.verdict is not True
            for moment in plan_probe_times(probe, eager=eager):
                await self._clock.sleep(began + moment - self._clock.time())
                if (await self._asker.ask(container, probe, ip))[0]:
                    tally = self._count(container, probe, kind, tally, good=True)
                    break
            if self._is_settled(kind, tally):
                return
            await self._clock.sleep(began + probe.period_seconds - self._clock.time())

    @staticmethod
    def _is_settled(kind: Kind, tally: Tally) -> bool:
        if kind == "startup":
            return tally.verdict is not None
        return kind == "liveness" and tally.verdict is False

    def _count(self, container: Container, probe: Probe, kind: Kind, tally: Tally, *, good: bool) -> Tally:
        after = tally.after(good, probe)
        if after.verdict != tally.verdict:
            self._conclude(container.name, kind, verdict=bool(after.verdict))
        return after

    def _conclude(self, name: str, kind: Kind, *, verdict: bool) -> None:
        held = self.verdicts[name]
        if kind == "readiness":
            self.verdicts[name] = replace(held, ready=verdict)
        elif kind == "startup":
            self.verdicts[name] = replace(held, started=verdict, failure="" if verdict else "startup")
        elif not verdict:
            self.verdicts[name] = replace(held, failure="liveness")
        self._wake()
