"""Asks the containers of one pod how they are, by exec, HTTP or TCP, and keeps a Verdict of each.

One task per running container attempt: the startup probe to its end, then readiness and liveness side by side.
``probes.py`` decides what results mean; every new verdict wakes the pod's worker.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

from seamark.agent.connect import Connect, connected
from seamark.agent.look import Look, Verdict, select_current
from seamark.agent.podspec import Container, HTTPGetAction, Probe, TCPSocketAction
from seamark.agent.probes import Kind, Tally, parse_status_line, plan_probe_times, render_http_get, select_port
from seamark.agent.timers import cancel, within
from seamark.linux.runtime import ContainerState, Runtime, RuntimeFault
from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

Unhealthy = Callable[[Container, str], None]
"""Records the Event: ``Readiness probe failed: …``."""

Finding = tuple[bool, str]
MAX_TEXT = 10 * 1024


class Asker:
    """Does one check of one container and says what came of it; never raises for a check that failed."""

    def __init__(self, uid: str, *, runtime: Runtime, connect: Connect, clock: Clock) -> None:
        self._uid = uid
        self._runtime = runtime
        self._connect = connect
        self._clock = clock

    async def ask(self, container: Container, probe: Probe, ip: str) -> Finding:
        if probe.exec:
            return await self._exec(container, tuple(probe.exec.command or ()), probe.timeout_seconds)
        if probe.http_get:
            return await self.http_get(container, probe.http_get, ip, timeout=probe.timeout_seconds)
        if probe.tcp_socket:
            return await self._tcp(container, probe.tcp_socket, ip, timeout=probe.timeout_seconds)
        return False, "the probe names nothing to ask"

    async def http_get(self, container: Container, action: HTTPGetAction, ip: str, *, timeout: float) -> Finding:
        port = select_port(container, action.port)
        if port is None:
            return False, f"couldn't find port: {action.port}"
        host = action.host or ip
        url = f"{action.scheme.lower()}://{_bracketed(host)}:{port}{action.path}"
        work = self._get(host, port, render_http_get(action, host, port), tls=action.scheme == "HTTPS")
        try:
            code = await within(self._clock, timeout, work)
        except TimeoutError:
            return False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        except (OSError, ValueError, EOFError) as error:
            return False, f'Get "{url}": {_dial(host, port, error)}'
        return 200 <= code < 400, f"HTTP probe failed with statuscode: {code}"

    async def _get(self, host: str, port: int, request: bytes, *, tls: bool) -> int:
        async with connected(self._connect, host, port, tls=tls) as (reader, writer):
            writer.write(request)
            return parse_status_line(await reader.readline())

    async def _tcp(self, container: Container, action: TCPSocketAction, ip: str, *, timeout: float) -> Finding:
        port = select_port(container, action.port)
        if port is None:
            return False, f"couldn't find port: {action.port}"
        host = action.host or ip
        try:
            await within(self._clock, timeout, self._touch(host, port))
        except TimeoutError:
            return False, f"dial tcp {_bracketed(host)}:{port}: i/o timeout"
        except OSError as error:
            return False, _dial(host, port, error)
        return True, ""

    async def _touch(self, host: str, port: int) -> None:
        async with connected(self._connect, host, port):
            pass

    async def _exec(self, container: Container, command: tuple[str, ...], timeout: float) -> Finding:
        try:
            code, output = await self._runtime.probe_exec(self._uid, container.name, command, timeout=timeout)
        except TimeoutError:
            return False, f'command timed out: "{" ".join(command)}" timed out after {int(timeout)}s'
        except RuntimeFault as fault:
            return False, fault.message
        except OSError as error:
            return False, str(error)
        return code == 0, output[:MAX_TEXT].decode("utf-8", "replace")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _dial(host: str, port: int, error: Exception) -> str:
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"dial tcp {_bracketed(host)}:{port}: connect: {text.lower()}"


class Prober:
    def __init__(self, asker: Asker, *, clock: Clock, wake: Callable[[], None], unhealthy: Unhealthy) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self._asker = asker
        self._clock = clock
        self._wake = wake
        self._unhealthy = unhealthy
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
                self._unhealthy(container, f"{kind.capitalize()} probe failed: {text}")
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
