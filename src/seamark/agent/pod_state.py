"""One look at a pod -> its status as the API and kubectl show it (pure).

The whole status is computed anew each time; times of transitions are kept from the status that stands in the API, and
so are conditions that others wrote (readiness gates). Source: core/v1 PodStatus, and the reasons kubelet gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from seamark.agent.look import (
    Ending,
    Look,
    is_ready,
    is_sidecar,
    is_started,
    next_attempt,
    restarts,
    select_attempts,
    select_current,
)
from seamark.agent.phase import DEADLINE_EXCEEDED, compute_phase, is_any_running, is_past_deadline
from seamark.agent.podplan import SHOW_PULL_ERROR, backoff_text
from seamark.agent.podspec import Container, ContainerStatus, Pod, State
from seamark.agent.refusals import REASON
from seamark.linux.runtime import ContainerState
from seamark.machinery.clock import format_time
from seamark.machinery.quantity import parse_quantity
from seamark.model.pod import PodCondition

START_ERROR = 128
OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
Obj = dict[str, Any]


def compute_status(look: Look) -> Obj:
    """The status this node answers for; keys it leaves out are not its own."""
    pod, phase = look.pod, compute_phase(look)
    shown = _shown_phase(look, phase)
    status: Obj = {
        "phase": shown,
        "conditions": compute_conditions(look, phase),
        "hostIP": look.host_ip,
        "hostIPs": [{"ip": look.host_ip}],
        "startTime": pod.status.start_time or format_time(look.now),
        "qosClass": compute_qos_class(pod),
    }
    if look.ending is None or look.sandbox is not None or pod.status.container_statuses:
        status["containerStatuses"] = [compute_container(look, c) for c in pod.spec.containers]
    if pod.metadata.generation:
        status["observedGeneration"] = pod.metadata.generation
    if pod.spec.init_containers:
        status["initContainerStatuses"] = [compute_container(look, c) for c in pod.spec.init_containers]
    if pod.spec.ephemeral_containers:
        status["ephemeralContainerStatuses"] = [compute_ephemeral(look, c) for c in pod.spec.ephemeral_containers]
    ip = look.ip or (pod.status.pod_ip if phase in ("Succeeded", "Failed") else "")
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    ending = _ending(look)
    if shown == "Failed" and ending is not None and not pod.is_finished:
        status |= {"reason": ending.reason, "message": ending.message}
    return status


def _ending(look: Look) -> Ending | None:
    if look.ending is None and is_past_deadline(look):
        return Ending(DEADLINE_EXCEEDED, "Pod was active on the node longer than the specified deadline")
    return look.ending


def _shown_phase(look: Look, phase: str) -> str:
    """A pod reaches its end only when nothing runs in it any more: whoever waits for that may take its place."""
    if phase in ("Succeeded", "Failed") and is_any_running(look):
        return look.pod.status.phase or "Pending"
    return phase


def container_id(look: Look, name: str, attempt: int) -> str:
    """Stable over restarts of this process: a name, not a secret."""
    return f"{look.runtime}://" + hashlib.sha256(f"{look.pod.uid}/{name}/{attempt}".encode()).hexdigest()


def compute_container(look: Look, container: Container) -> Obj:
    name = container.name
    current = select_current(look, name)
    written = look.pod.written(name)
    state, last = _states(look, container, current, written)
    started, used = is_started(look, container), look.images.get(name)
    status: Obj = {
        "name": name,
        "state": state,
        "lastState": last,
        "ready": _ready(look, container, current),
        "started": started,
        "restartCount": current.attempt if current else next_attempt(look, name),
        "image": used.name if used else container.image,
        "imageID": used.digest if used else written.image_id if written else "",
    }
    if current is not None:
        status["containerID"] = container_id(look, name, current.attempt)
    return status


def compute_ephemeral(look: Look, container: Container) -> Obj:
    """Nothing waits for one of these, so it is neither started nor ready."""
    status = compute_container(look, container)
    del status["started"]
    return status | {"ready": False}


def _ready(look: Look, container: Container, current: ContainerState | None) -> bool:
    """An init container is ready when it succeeded; anything else while it serves."""
    if container in look.pod.spec.init_containers and not is_sidecar(container):
        return current is not None and current.status == "exited" and current.exit_code == 0
    return is_ready(look, container)


def _states(
    look: Look, container: Container, current: ContainerState | None, written: ContainerStatus | None
) -> tuple[Obj, Obj]:
    """``state`` and ``lastState``."""
    before = _previous(look, container, current, written)
    if current is None:
        return {"waiting": _waiting(look, container)}, before
    if current.status == "running":
        return {"running": {"startedAt": format_time(current.started)}}, before
    if current.status == "created":
        return {"waiting": _waiting(look, container)}, before
    ended = {"terminated": _terminated(look, current)}
    if look.stopping or look.pod.is_finished or not restarts(look.pod, container, current):
        return ended, before
    if compute_phase(look) in ("Succeeded", "Failed"):
        return ended, before
    if container.name in look.failures:
        return {"waiting": _waiting(look, container)}, ended
    if container.name in look.backoffs and container.name not in look.busy:
        return {"waiting": {"reason": "CrashLoopBackOff", "message": backoff_text(look, container.name)}}, ended
    return ended, before


def _previous(look: Look, container: Container, current: ContainerState | None, written: ContainerStatus | None) -> Obj:
    """The attempt before the current one, from the runtime or from what was written of it."""
    attempts = select_attempts(look, container.name)
    if len(attempts) > 1:
        return {"terminated": _terminated(look, attempts[1])}
    if written is None:
        return {}
    if current is None or written.restart_count == current.attempt:
        return _as_written(written.last_state)
    return _as_written(written.state if written.state.terminated else written.last_state)


def _as_written(state: State) -> Obj:
    ended = state.terminated
    if ended is None:
        return {}
    found = {
        "exitCode": ended.exit_code,
        "signal": ended.signal,
        "reason": ended.reason,
        "message": ended.message,
        "startedAt": ended.started_at,
        "finishedAt": ended.finished_at,
        "containerID": ended.container_id,
    }
    return {"terminated": {k: v for k, v in found.items() if v or k == "exitCode"}}


def _waiting(look: Look, container: Container) -> Obj:
    if look.refused:
        return {"reason": REASON, "message": "; ".join(look.refused)}
    failure = look.failures.get(container.name)
    if failure is None:
        return {"reason": "PodInitializing" if look.pod.spec.init_containers else "ContainerCreating"}
    if failure.reason == "ErrImagePull" and look.now >= failure.since + SHOW_PULL_ERROR:
        message = f'Back-off pulling image "{container.image}": {failure.reason}: {failure.message}'
        return {"reason": "ImagePullBackOff", "message": message}
    return {"reason": failure.reason, "message": failure.message}


def _terminated(look: Look, ended: ContainerState) -> Obj:
    lost = ended.started == 0.0 and ended.exit_code != 0
    state: Obj = {
        "exitCode": ended.exit_code,
        "reason": "ContainerStatusUnknown" if lost else _ended_reason(ended),
        "startedAt": format_time(ended.started) if ended.started else None,
        "finishedAt": format_time(ended.finished) if ended.finished else None,
        "containerID": container_id(look, ended.name, ended.attempt),
    }
    message = look.messages.get((ended.name, ended.attempt), "")
    failure = look.failures.get(ended.name)
    if _never_ran(ended) and failure is not None:
        message = failure.message
    if lost:
        message = "The container could not be located when the pod was terminated"
    if message:
        state["message"] = message
    return {k: v for k, v in state.items() if v is not None}


def _never_ran(ended: ContainerState) -> bool:
    """The runtime could not start its program: there was never a process, and the code is a runtime's own."""
    return ended.exit_code == START_ERROR and not ended.pid


def _ended_reason(ended: ContainerState) -> str:
    if ended.oom:
        return "OOMKilled"
    if _never_ran(ended):
        return "StartError"
    return "Completed" if ended.exit_code == 0 else "Error"


def compute_conditions(look: Look, phase: str) -> list[Obj]:
    pod = look.pod
    containers_ready = _containers_ready(look, phase)
    found = {
        "PodReadyToStartContainers": ("True" if look.alive and look.ip else "False", "", ""),
        "Initialized": _initialized(look, phase),
        "Ready": _pod_ready(pod, containers_ready),
        "ContainersReady": containers_ready,
        "PodScheduled": ("True", "", ""),
    }
    if look.ending is not None and look.ending.disruption:
        found["DisruptionTarget"] = ("True", "TerminationByKubelet", look.ending.message)
    listed = pod.status.conditions or []
    foreign = [_condition_as_written(c) for c in listed if c.type not in (*OWN_CONDITIONS, *found)]
    return [_condition(look, kind, *value) for kind, value in found.items()] + foreign


Finding = tuple[str, str, str]
"""Status, reason and message of a condition."""


def _initialized(look: Look, phase: str) -> Finding:
    if phase == "Succeeded":
        return "True", "PodCompleted", ""
    waiting = [c.name for c in look.pod.spec.init_containers if not _initialised(look, c)]
    if not waiting or _has_run(look):
        return "True", "", ""
    return "False", "ContainersNotInitialized", f"containers with incomplete status: {_go_list(waiting)}"


def _initialised(look: Look, container: Container) -> bool:
    if is_sidecar(container):
        return is_started(look, container)
    return _ready(look, container, select_current(look, container.name))


def _has_run(look: Look) -> bool:
    return any(select_attempts(look, c.name) for c in look.pod.spec.containers)


def _containers_ready(look: Look, phase: str) -> Finding:
    if phase == "Succeeded":
        return "False", "PodCompleted", ""
    if phase == "Failed":
        return "False", "PodFailed", ""
    sidecars = [c for c in look.pod.spec.init_containers if is_sidecar(c)]
    unready = [c.name for c in (*sidecars, *look.pod.spec.containers) if not is_ready(look, c)]
    if not unready:
        return "True", "", ""
    return "False", "ContainersNotReady", f"containers with unready status: {_go_list(unready)}"


def _pod_ready(pod: Pod, containers_ready: Finding) -> Finding:
    if containers_ready[0] != "True":
        return containers_ready
    written = {c.type: c.status for c in pod.status.conditions or []}
    unmet: list[str] = []
    for gate in pod.spec.readiness_gates or []:
        if gate.condition_type not in written:
            unmet.append(f'corresponding condition of pod readiness gate "{gate.condition_type}" does not exist.')
        elif written[gate.condition_type] != "True":
            unmet.append(f'the status of pod readiness gate "{gate.condition_type}" is not "True", but ')
            unmet[-1] += written[gate.condition_type]
    if not unmet:
        return "True", "", ""
    return "False", "ReadinessGatesNotReady", ", ".join(unmet)


def _condition(look: Look, kind: str, status: str, reason: str, message: str) -> Obj:
    before = next((c for c in look.pod.status.conditions or [] if c.type == kind), None)
    same = before is not None and before.status == status and before.last_transition_time
    condition: Obj = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": before.last_transition_time if same and before else format_time(look.now),
    }
    if look.pod.metadata.generation:
        condition["observedGeneration"] = look.pod.metadata.generation
    return {**condition, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}


def _condition_as_written(condition: PodCondition) -> Obj:
    found = {
        "type": condition.type,
        "status": condition.status,
        "lastProbeTime": None,
        "lastTransitionTime": condition.last_transition_time,
        "reason": condition.reason,
        "message": condition.message,
    }
    return {k: v for k, v in found.items() if v or k == "lastProbeTime"}


def _go_list(names: Iterable[str]) -> str:
    return "[" + " ".join(names) + "]"


def compute_qos_class(pod: Pod) -> str:
    """Guaranteed: every container has equal limits and requests of both; BestEffort: none has any."""
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    any_set, all_guaranteed = False, True
    for container in containers:
        limits, requests = container.resources.limits or {}, container.resources.requests or {}
        for resource in ("cpu", "memory"):
            limit, request = limits.get(resource), requests.get(resource, limits.get(resource))
            any_set = any_set or limit is not None or request is not None
            if limit is None or request is None or parse_quantity(limit) != parse_quantity(request):
                all_guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if all_guaranteed else "Burstable"
