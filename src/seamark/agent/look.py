"""One look at a pod: everything that the plan and the status are computed from, as one immutable value.

The spec comes from the API, the containers from the runtime, and the rest is what the agent itself remembers:
failures to start, back-offs, kills under way, verdicts of probes. No decision needs anything that is not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from seamark.agent.podspec import Container, Pod
from seamark.linux.runtime import ContainerState, SandboxState
from seamark.machinery.clock import parse_time

SETTLE = 0.5
"""Seconds a program without a readiness probe has to open a port; then it is ready all the same. A kubelet gives it up
to a second by noticing its start late; at our pace Services would lead to programs that do not listen yet.
"""

LOST_EXIT_CODE = 137
"""What a container is taken to have ended with when its sandbox vanished (kubelet's ContainerStatusUnknown)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A start that did not work; the next try comes after ``delay`` seconds, or at once when its cause changed."""

    reason: str
    message: str
    since: float
    delay: float

    @property
    def retry_at(self) -> float:
        return self.since + self.delay


@dataclass(frozen=True, slots=True)
class Backoff:
    """Of restarts: the next one waits ``delay`` seconds after the container ended. ``since``: the last restart."""

    delay: float
    since: float


@dataclass(frozen=True, slots=True)
class Kill:
    """A container being stopped: hook, SIGTERM, patience, SIGKILL. ``termed``, ``killed``: when that was sent."""

    began: float
    has_hook: bool = False
    hook_ended: float | None = None
    termed: float | None = None
    killed: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The node ends the pod: it fails with this reason. ``grace``: seconds in place of the pod's own patience."""

    reason: str
    message: str
    grace: float | None = None
    disruption: bool = False  # told by the condition DisruptionTarget, too


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probes of one container attempt found. ``failure`` says which probe condemned it."""

    attempt: int
    started: bool
    ready: bool
    failure: str = ""  # "" | "liveness" | "startup"


@dataclass(frozen=True, slots=True)
class UsedImage:
    """What an attempt was started from: the name as the spec had it then, and what that name meant."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Look:
    pod: Pod
    now: float
    sandbox: SandboxState | None = None
    gone: bool = False  # the API no longer has the pod
    leaving: bool = False  # deleted, and new connections may still come: no SIGTERM yet
    ip: str = ""
    host_ip: str = ""
    runtime: str = "runc"  # what container ids begin with
    refused: tuple[str, ...] = ()
    ending: Ending | None = None
    blocked: Failure | None = None  # volumes or sandbox could not be made
    busy: frozenset[str] = frozenset()  # containers whose start is under way; "" = the sandbox
    failures: Mapping[str, Failure] = field(default_factory=dict)
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    kills: Mapping[str, Kill] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    listening: frozenset[str] = frozenset()  # containers beside which something listens, or nobody can tell
    images: Mapping[str, UsedImage] = field(default_factory=dict)  # of the newest attempt
    messages: Mapping[tuple[str, int], str] = field(default_factory=dict)  # (container, attempt) -> termination log

    @property
    def stopping(self) -> bool:
        return self.gone or self.pod.is_terminating

    @property
    def alive(self) -> bool:
        return self.sandbox is not None and self.sandbox.alive


def is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def select_attempts(look: Look, name: str) -> tuple[ContainerState, ...]:
    """What the runtime knows of a container, newest first. In a dead sandbox nothing runs any more."""
    if look.sandbox is None:
        return ()
    found = sorted((c for c in look.sandbox.containers if c.name == name), key=lambda c: -c.attempt)
    return tuple(found) if look.sandbox.alive else tuple(_ended(c, look.now) for c in found)


def select_current(look: Look, name: str) -> ContainerState | None:
    """The newest attempt: the runtime's, else what the API remembers of one whose sandbox is gone."""
    found = select_attempts(look, name)
    return found[0] if found else _remembered(look, name)


def is_running(look: Look, name: str) -> bool:
    current = select_current(look, name)
    return current is not None and current.status != "exited"


def next_attempt(look: Look, name: str) -> int:
    written = look.pod.written(name)
    found = select_attempts(look, name)
    after = found[0].attempt + 1 if found else 0
    if written is None:
        return after
    return max(after, written.restart_count + (1 if written.container_id and not found else 0))


def is_started(look: Look, container: Container) -> bool:
    """Running, and past its startup probe where it has one."""
    current = select_current(look, container.name)
    if current is None or current.status != "running":
        return False
    if container.startup_probe is None:
        return True
    verdict = look.verdicts.get(container.name)
    return verdict is not None and verdict.attempt == current.attempt and verdict.started


def is_settled(look: Look, container: Container) -> bool:
    """Of a running container without a readiness probe: something listens by now, or it had the time to."""
    current = select_current(look, container.name)
    return container.name in look.listening or current is None or look.now >= current.started + SETTLE


def is_ready(look: Look, container: Container) -> bool:
    if not is_started(look, container):
        return False
    if container.readiness_probe is None:
        return is_settled(look, container)
    current, verdict = select_current(look, container.name), look.verdicts.get(container.name)
    return current is not None and verdict is not None and verdict.attempt == current.attempt and verdict.ready


def restarts(pod: Pod, container: Container, ended: ContainerState) -> bool:
    """Whether a container that ended is to run again."""
    if container in pod.spec.ephemeral_containers:
        return False
    if is_sidecar(container):
        return True
    if pod.spec.restart_policy == "Always" and container in pod.spec.containers:
        return True
    return pod.spec.restart_policy != "Never" and ended.exit_code != 0


def deadline(pod: Pod) -> float | None:
    """When spec.activeDeadlineSeconds ends the pod."""
    if pod.spec.active_deadline_seconds is None or not pod.status.start_time:
        return None
    return parse_time(pod.status.start_time) + pod.spec.active_deadline_seconds


def _ended(container: ContainerState, now: float) -> ContainerState:
    if container.status == "exited":
        return container
    return replace(container, status="exited", exit_code=LOST_EXIT_CODE, finished=now)


def _remembered(look: Look, name: str) -> ContainerState | None:
    """Init containers run again in a new sandbox, so only an app container's past counts."""
    written = look.pod.written(name)
    if written is None or not written.container_id or name in {c.name for c in look.pod.spec.init_containers}:
        return None
    ended = written.state.terminated or (written.state.waiting and written.last_state.terminated)
    if not ended:
        return ContainerState(name, written.restart_count, "exited", exit_code=LOST_EXIT_CODE)
    return ContainerState(
        name,
        written.restart_count,
        "exited",
        started=parse_time(ended.started_at) if ended.started_at else 0.0,
        finished=parse_time(ended.finished_at) if ended.finished_at else 0.0,
        exit_code=ended.exit_code,
    )
