"""The cells of ``kubectl get pod``: ready count, the one word for its state, restarts.

The word is the phase, unless something more telling is known: why a container waits or ended, how far initialization
came, that the pod is being deleted. Init containers are looked at first, the first unfinished one decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.resources.access import entries, section, text
from seamark.resources.columns import NONE, since
from seamark.resources.registry import Obj


@dataclass(slots=True)
class _Restarts:
    count: int = 0
    last: str = ""  # RFC 3339 sorts as text

    def add(self, status: Obj) -> None:
        self.count += status.get("restartCount") or 0
        self.last = max(self.last, text(status, "lastState", "terminated", "finishedAt"))


@dataclass(frozen=True, slots=True)
class PodState:
    """``restarts`` is text: ``2 (5s ago)`` where the last restart is known."""

    ready: int
    total: int
    reason: str
    restarts: _Restarts


def pod_state(pod: Obj) -> PodState:
    spec, status = section(pod, "spec"), section(pod, "status")
    sidecars = {c.get("name") for c in entries(spec, "initContainers") if c.get("restartPolicy") == "Always"}
    total = len(entries(spec, "containers")) + len(sidecars)
    reason = _phase_reason(status)
    initializing, ready, all_restarts, sidecar_restarts = _initialization(spec, status, sidecars)
    restarts = all_restarts
    if not initializing or _condition(status, "Initialized") == "True":
        restarts = sidecar_restarts
        reason, running = _container_reason(status, initializing or reason, restarts)
        ready += running
    else:
        reason = initializing
    return PodState(ready, total, _deletion_reason(pod, status) or reason, restarts)


def _phase_reason(status: Obj) -> str:
    if any(
        c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in entries(status, "conditions")
    ):
        return "SchedulingGated"
    return text(status, "reason") or text(status, "phase")


def _deletion_reason(pod: Obj, status: Obj) -> str:
    if not section(pod, "metadata").get("deletionTimestamp"):
        return ""
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _initialization(spec: Obj, status: Obj, sidecars: set[Any]) -> tuple[str, int, _Restarts, _Restarts]:
    """Why initialization is not done (empty when it is), ready sidecars, restarts of all and of sidecars."""
    every, of_sidecars, ready = _Restarts(), _Restarts(), 0
    for i, container in enumerate(entries(status, "initContainerStatuses")):
        is_sidecar = container.get("name") in sidecars
        every.add(container)
        if is_sidecar:
            of_sidecars.add(container)
        terminated = section(container, "state").get("terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if is_sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        waiting = text(container, "state", "waiting", "reason")
        if terminated is not None:
            why = _termination(terminated)
        elif waiting not in ("", "PodInitializing"):
            why = waiting
        else:
            why = f"{i}/{len(entries(spec, 'initContainers'))}"
        return f"Init:{why}", ready, every, of_sidecars
    return "", ready, every, of_sidecars


def _termination(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _container_reason(status: Obj, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """The first container's reason wins, so they are gone through from the last; and how many are ready."""
    running, failure = 0, ""
    for container in reversed(entries(status, "containerStatuses")):
        restarts.add(container)
        state = section(container, "state")
        terminated, waiting = state.get("terminated"), text(state, "waiting", "reason")
        if waiting:
            reason = waiting
        elif terminated is not None:
            reason = _termination(terminated)
            if terminated.get("exitCode"):
                failure = reason
        elif container.get("ready") and state.get("running") is not None:
            running += 1
    if reason == "Completed":
        if running and _condition(status, "Ready") == "True":
            reason = "Running"
        elif failure:
            reason = failure
        elif running:
            reason = "NotReady"
    return reason, running


def _condition(status: Obj, kind: str) -> str:
    return next((text(c, "status") for c in entries(status, "conditions") if c.get("type") == kind), "")


def ready_cell(pod: Obj, now: float) -> str:
    state = pod_state(pod)
    return f"{state.ready}/{state.total}"


def status_cell(pod: Obj, now: float) -> str:
    return pod_state(pod).reason


def restarts_cell(pod: Obj, now: float) -> str:
    restarts = pod_state(pod).restarts
    if restarts.count and restarts.last:
        return f"{restarts.count} ({since(restarts.last, now)} ago)"
    return str(restarts.count)


def ip_cell(pod: Obj, now: float) -> str:
    first: Obj = next(iter(entries(pod, "status", "podIPs")), {})
    return text(first, "ip") or text(pod, "status", "podIP") or NONE


def gates_cell(pod: Obj, now: float) -> str:
    gates = entries(pod, "spec", "readinessGates")
    if not gates:
        return NONE
    met = sum(_condition(section(pod, "status"), text(gate, "conditionType")) == "True" for gate in gates)
    return f"{met}/{len(gates)}"
