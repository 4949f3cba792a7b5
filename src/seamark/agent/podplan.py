"""One look at a pod -> what to do next (pure). The worker applies the actions, looks again, and so on.

Rules:

* Init containers run one after another, each to success; a sidecar (restartPolicy Always) only has to be started.
* A container that ended is run again where its policy says so: at once the first time, then after 10 s, 20 s, …
  5 min since it ended; one that held out ten minutes since its last start begins anew.
* A deleted pod leaves the Services first: SIGTERM waits until nothing sends it new connections, at most a second.
* A container is stopped by its preStop hook, SIGTERM, patience, SIGKILL; a hook counts against the patience, but
  SIGTERM always gets two seconds before SIGKILL. Sidecars go last.
* A pod that is deleted, over its deadline, or at its end loses its sandbox when nothing runs in it any more; a deleted
  one then leaves the API.
* A plan that waits for a moment says so in ``wake_at``; for anything else the next event wakes the worker.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from seamark.agent.look import (
    Backoff,
    Failure,
    Kill,
    Look,
    deadline,
    is_running,
    is_sidecar,
    is_started,
    next_attempt,
    restarts,
    select_current,
)
from seamark.agent.phase import compute_phase, is_init_done
from seamark.agent.podspec import Container, Probe
from seamark.linux.runtime import ContainerState

FIRST_BACKOFF = 10.0
MAX_BACKOFF = 300.0
FORGET_BACKOFF = 2 * MAX_BACKOFF
LEAST_GRACE = 1.0
AFTER_HOOK = 2.0
REPEAT_KILL = 5.0
SHOW_PULL_ERROR = 2.0  # seconds for which a failed pull shows its own reason before it becomes ImagePullBackOff


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Volumes, address, namespace."""


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """``why``: Event text, empty where nobody needs to be told."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class StartContainer:
    name: str
    attempt: int
    backoff: Backoff | None = None


@dataclass(frozen=True, slots=True)
class NoteBackoff:
    """A restart is being held back; the Event BackOff is due once for each ended attempt."""

    name: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class NoteKill:
    """The state of a kill as it is from now on; ``text`` is the Event Killing at its beginning."""

    name: str
    kill: Kill
    text: str = ""


@dataclass(frozen=True, slots=True)
class RunHook:
    name: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class CancelStarts:
    """Starts under way are given up."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing runs: remove what the node holds of the pod, then the pod from the API."""


Action = (
    CreateSandbox | RemoveSandbox | StartContainer | NoteBackoff | NoteKill | RunHook | Signal | CancelStarts | Finish
)


@dataclass(frozen=True, slots=True)
class Plan:
    actions: tuple[Action, ...] = ()
    wake_at: float | None = None


def plan_pod(look: Look) -> Plan:
    if look.leaving and not look.busy:
        return Plan()
    if look.stopping:
        return _plan_stop(look, grace=_stop_grace(look), why="Stopping container {name}", then=(Finish(),))
    if look.pod.is_finished or compute_phase(look) in ("Succeeded", "Failed"):
        patience = float(look.pod.spec.termination_grace_period_seconds)
        grace = patience if look.ending is None or look.ending.grace is None else look.ending.grace
        then = (RemoveSandbox(),) if look.sandbox is not None else ()
        return _plan_stop(look, grace=grace, why="Stopping container {name}", then=then)
    if look.refused:
        return Plan()
    if not look.alive or "" in look.busy:
        return _plan_sandbox(look)
    return merge_plans((_plan_containers(look), _plan_ephemeral(look), Plan(wake_at=deadline(look.pod))))


def plan_backoff(look: Look, name: str, ended: ContainerState) -> tuple[float, Backoff]:
    """When the container may run again, and what its next wait will be."""
    held = look.backoffs.get(name)
    if held is None or ended.finished - held.since > FORGET_BACKOFF:
        return ended.finished, Backoff(FIRST_BACKOFF, look.now)
    return ended.finished + held.delay, Backoff(min(held.delay * 2, MAX_BACKOFF), look.now)


def plan_failure(before: Failure | None, reason: str, message: str, now: float) -> Failure:
    """A start failed: the same reason again doubles the wait, another begins anew."""
    delay = FIRST_BACKOFF if before is None or before.reason != reason else min(before.delay * 2, MAX_BACKOFF)
    return Failure(reason, message, now, delay)


def merge_plans(plans: Iterable[Plan]) -> Plan:
    listed = list(plans)
    moments = [plan.wake_at for plan in listed if plan.wake_at is not None]
    return Plan(tuple(a for plan in listed for a in plan.actions), min(moments, default=None))


def format_wait(seconds: float) -> str:
    """Go's duration: ``10s``, ``1m20s``, ``5m0s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def format_seconds(seconds: float) -> str:
    """The same with milliseconds: ``12ms``, ``1.204s``, ``1m2.5s``."""
    millis = int(seconds * 1000)
    minutes, rest = divmod(millis, 60_000)
    if not minutes and rest < 1000:
        return f"{rest}ms"
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{text}s" if minutes else f"{text}s"


def _plan_sandbox(look: Look) -> Plan:
    if "" in look.busy:
        return Plan()
    if look.sandbox is not None:
        return Plan((RemoveSandbox("Pod sandbox changed, it will be killed and re-created."),))
    if look.blocked is not None and look.blocked.retry_at > look.now:
        return Plan(wake_at=look.blocked.retry_at)
    return Plan((CreateSandbox(),))


def _plan_containers(look: Look) -> Plan:
    plans = [_plan_init(look)]
    if is_init_done(look):
        plans += [_plan_container(look, container) for container in look.pod.spec.containers]
    return merge_plans(plans)


def _plan_init(look: Look) -> Plan:
    """The first init container that is not through yet, and every sidecar before it."""
    plans: list[Plan] = []
    for container in look.pod.spec.init_containers:
        current = select_current(look, container.name)
        if is_sidecar(container):
            plans.append(_plan_container(look, container))
            if not (is_started(look, container) or is_init_done(look)):
                break
        elif not _succeeded(current) and not is_init_done(look):
            plans.append(_plan_container(look, container))
            break
    return merge_plans(plans)


def _plan_ephemeral(look: Look) -> Plan:
    """Each runs once, whatever becomes of it."""
    waiting = [c for c in look.pod.spec.ephemeral_containers if select_current(look, c.name) is None]
    return merge_plans(_plan_container(look, container) for container in waiting)


def _succeeded(current: ContainerState | None) -> bool:
    return current is not None and current.status == "exited" and current.exit_code == 0


def _plan_container(look: Look, container: Container) -> Plan:
    name = container.name
    current = select_current(look, name)
    if name in look.busy:
        return Plan()
    if current is not None and current.status != "exited":
        return _plan_running(look, container, current)
    if current is not None and not restarts(look.pod, container, current):
        return Plan()
    failure = look.failures.get(name)
    if failure is not None and failure.retry_at > look.now:
        shown_until = failure.since + SHOW_PULL_ERROR
        return Plan(wake_at=shown_until if shown_until > look.now else failure.retry_at)
    attempt = next_attempt(look, name)
    if current is None:
        return Plan((StartContainer(name, attempt),))
    ready_at, after = plan_backoff(look, name, current)
    if ready_at > look.now:
        return Plan((NoteBackoff(name, current.attempt, backoff_text(look, name)),), ready_at)
    return Plan((StartContainer(name, attempt, after),))


def backoff_text(look: Look, name: str) -> str:
    held = look.backoffs.get(name)
    wait = format_wait(held.delay if held else FIRST_BACKOFF)
    meta = look.pod.metadata
    return f"back-off {wait} restarting failed container={name} pod={meta.name}_{meta.namespace}({meta.uid})"


def _plan_running(look: Look, container: Container, current: ContainerState) -> Plan:
    used = look.images.get(container.name)
    if used is not None and used.name != container.image:
        why = f"Container {container.name} definition changed, will be restarted"
        return _plan_kill(look, container, grace=float(look.pod.spec.termination_grace_period_seconds), why=why)
    verdict = look.verdicts.get(container.name)
    if verdict is None or verdict.attempt != current.attempt or not verdict.failure:
        return Plan()
    condemned_by = container.startup_probe if verdict.failure == "startup" else container.liveness_probe
    why = f"Container {container.name} failed {verdict.failure} probe, will be restarted"
    return _plan_kill(look, container, grace=_probe_grace(look, condemned_by), why=why)


def _probe_grace(look: Look, probe: Probe | None) -> float:
    own = probe.termination_grace_period_seconds if probe else None
    return float(look.pod.spec.termination_grace_period_seconds if own is None else own)


def _stop_grace(look: Look) -> float:
    """The deletion's own patience, which a second delete may have shortened."""
    asked = look.pod.metadata.deletion_grace_period_seconds
    given = look.pod.spec.termination_grace_period_seconds if asked is None else asked
    return max(float(given), LEAST_GRACE)


def _plan_stop(look: Look, *, grace: float, why: str, then: Sequence[Action]) -> Plan:
    if look.busy:
        return Plan((CancelStarts(),))
    spec = look.pod.spec
    running = [c for c in (*spec.containers, *spec.ephemeral_containers) if is_running(look, c.name)]
    running += [c for c in spec.init_containers if not is_sidecar(c) and is_running(look, c.name)]
    sidecars = [c for c in reversed(spec.init_containers) if is_sidecar(c) and is_running(look, c.name)]
    due = running or sidecars[:1]
    if not due:
        return Plan(tuple(then))
    plans = (_plan_kill(look, c, grace=grace, why=why.format(name=c.name)) for c in due)
    return merge_plans(plans)


def _plan_kill(look: Look, container: Container, *, grace: float, why: str) -> Plan:
    name, now = container.name, look.now
    kill = look.kills.get(name)
    if kill is None:
        has_hook = container.lifecycle is not None and container.lifecycle.pre_stop is not None
        begun = Kill(now, has_hook=has_hook)
        if has_hook:
            return Plan((NoteKill(name, begun, why), RunHook(name, grace)), now + grace)
        sent = replace(begun, termed=now)
        return Plan((NoteKill(name, sent, why), Signal(name, _term(container))), now + grace)
    if kill.termed is None:
        if kill.hook_ended is None and now < kill.began + grace:
            return Plan(wake_at=kill.began + grace)
        sent = replace(kill, termed=now)
        return Plan((NoteKill(name, sent), Signal(name, _term(container))), _patience_end(sent, grace))
    end = _patience_end(kill, grace) if kill.killed is None else kill.killed + REPEAT_KILL
    if now < end:
        return Plan(wake_at=end)
    return Plan((NoteKill(name, replace(kill, killed=now)), Signal(name, int(signal.SIGKILL))), now + REPEAT_KILL)


def _patience_end(kill: Kill, grace: float) -> float:
    end = kill.began + grace
    return max(end, kill.termed + AFTER_HOOK) if kill.has_hook and kill.termed is not None else end


def _term(container: Container) -> int:
    """lifecycle.stopSignal, else SIGTERM."""
    wanted = container.lifecycle.stop_signal if container.lifecycle else ""
    if wanted.startswith("SIGRTMIN"):
        return signal.SIGRTMIN + int(wanted.removeprefix("SIGRTMIN").lstrip("+") or 0)
    return int(signal.Signals.__members__.get(wanted, signal.SIGTERM))
