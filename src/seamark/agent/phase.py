"""A pod's phase, and whether its init containers are through (pure).

Source: core/v1 PodPhase. Succeeded and Failed are final: a pod that reached one never leaves it.
"""

from __future__ import annotations

from seamark.agent.look import (
    Look,
    deadline,
    is_running,
    is_sidecar,
    is_started,
    restarts,
    select_current,
)

DEADLINE_EXCEEDED = "DeadlineExceeded"


def compute_phase(look: Look) -> str:
    pod = look.pod
    if pod.is_finished:
        return pod.status.phase
    if look.ending is not None or is_past_deadline(look) or _init_failed(look):
        return "Failed"
    states = [select_current(look, c.name) for c in pod.spec.containers]
    ended = [s for s in states if s is not None and s.status == "exited"]
    started = [s for s in states if s is not None]
    if len(ended) == len(states) and (look.stopping or not _any_restarts(look)):
        return "Succeeded" if all(s.exit_code == 0 for s in ended) else "Failed"
    if not is_init_done(look) or len(started) < len(states):
        return "Pending"
    return "Running"


def is_past_deadline(look: Look) -> bool:
    end = deadline(look.pod)
    return end is not None and end <= look.now


def is_init_done(look: Look) -> bool:
    """Every init container succeeded and every sidecar started; once an app container ran, it stays so."""
    if look.alive and any(_in_this_sandbox(look, c.name) for c in look.pod.spec.containers):
        return True
    for container in look.pod.spec.init_containers:
        current = select_current(look, container.name)
        if is_sidecar(container):
            if not is_started(look, container):
                return False
        elif current is None or current.status != "exited" or current.exit_code != 0:
            return False
    return True


def is_any_running(look: Look) -> bool:
    return any(is_running(look, c.name) for c in look.pod.spec.all_containers)


def _in_this_sandbox(look: Look, name: str) -> bool:
    return look.sandbox is not None and any(c.name == name for c in look.sandbox.containers)


def _init_failed(look: Look) -> bool:
    if look.pod.spec.restart_policy != "Never":
        return False
    for container in look.pod.spec.init_containers:
        current = select_current(look, container.name)
        if not is_sidecar(container) and current and current.status == "exited" and current.exit_code != 0:
            return True
    return False


def _any_restarts(look: Look) -> bool:
    for container in look.pod.spec.containers:
        current = select_current(look, container.name)
        if current is not None and current.status == "exited" and restarts(look.pod, container, current):
            return True
    return False
