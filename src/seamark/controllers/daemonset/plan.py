"""DaemonSet, nodes and pods -> on which nodes to make a pod, which pods to delete, and the status.

A rolling update deletes old pods and lets the next look make new ones: first those that serve nobody, then as many
as ``maxUnavailable`` allows. ``maxSurge`` is not done: the API room says so where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from seamark.controllers.daemonset.pods import Fit, fit, target_node
from seamark.controllers.pods import created_at, is_available, next_availability
from seamark.controllers.revision import CONTROLLER_REVISION_HASH
from seamark.controllers.workloads import DaemonSet, DaemonSetStatus, WorkloadPod
from seamark.model.meta import ObjectKey
from seamark.model.node import Node


class Plan(NamedTuple):
    create: tuple[str, ...]
    """Node names."""
    delete: tuple[WorkloadPod, ...]
    failed: tuple[WorkloadPod, ...]
    """Pods that ended; deleted as well, and worth an event."""
    again: float | None


def plan_daemons(
    ds: DaemonSet, nodes: Mapping[ObjectKey, Node], pods: Sequence[WorkloadPod], version: str, *, now: float
) -> Plan:
    """``version`` is the hash of the present template."""
    if ds.metadata.deletion_timestamp is not None:
        return Plan((), (), (), None)
    placed = _by_node(pods)
    fits = {key.name: fit(ds, node) for key, node in nodes.items()}
    create: list[str] = []
    delete: list[WorkloadPod] = []
    failed: list[WorkloadPod] = []
    for name in sorted({*fits, *placed}):
        here = placed.get(name, [])
        fits_here = fits.get(name, Fit(False, stay=False))
        _plan_node(name, here, fits_here, (create, delete, failed))
    if not create and not delete and not failed:
        delete = _plan_update(ds, placed, [name for name, found in fits.items() if found.run], version, now)
    return Plan(
        tuple(create), tuple(delete), tuple(failed), next_availability(list(pods), ds.spec.min_ready_seconds, now)
    )


def _plan_node(
    name: str,
    here: list[WorkloadPod],
    fits: Fit,
    found: tuple[list[str], list[WorkloadPod], list[WorkloadPod]],
) -> None:
    create, delete, failed = found
    live = [pod for pod in here if not pod.is_terminating]
    if not fits.stay:
        delete += live
        return
    ended = [pod for pod in live if pod.is_finished]
    failed += ended
    running = sorted((pod for pod in live if not pod.is_finished), key=lambda p: (not p.spec.node_name, created_at(p)))
    delete += running[1:]
    if fits.run and not here:
        create.append(name)


def _by_node(pods: Sequence[WorkloadPod]) -> dict[str, list[WorkloadPod]]:
    found: dict[str, list[WorkloadPod]] = {}
    for pod in pods:
        found.setdefault(target_node(pod), []).append(pod)
    return found


def _plan_update(
    ds: DaemonSet, placed: Mapping[str, list[WorkloadPod]], wanted: Sequence[str], version: str, now: float
) -> list[WorkloadPod]:
    if ds.spec.update_strategy.type == "OnDelete":
        return []
    unavailable = 0
    broken: list[WorkloadPod] = []
    healthy: list[WorkloadPod] = []
    for name in sorted(wanted):
        pods = [pod for pod in placed.get(name, ()) if not pod.is_terminating]
        available = any(is_available(pod, ds.spec.min_ready_seconds, now) for pod in pods)
        unavailable += not available
        old = [pod for pod in pods if pod.labels.get(CONTROLLER_REVISION_HASH) != version]
        (healthy if available else broken).extend(old)
    room = max(0, max_unavailable(ds, len(wanted)) - unavailable)
    return [*broken, *healthy[:room]]


def max_unavailable(ds: DaemonSet, total: int) -> int:
    """At least one, or an update would never begin; a share rounds up."""
    rolling = ds.spec.update_strategy.rolling_update
    value = rolling.max_unavailable if rolling else None
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal():
        return max(1, -(-int(value[:-1]) * total // 100))
    return max(1, int(value)) if isinstance(value, int) else 1


def plan_status(
    ds: DaemonSet, nodes: Mapping[ObjectKey, Node], pods: Sequence[WorkloadPod], version: str, *, now: float
) -> DaemonSetStatus:
    placed = _by_node([pod for pod in pods if not pod.is_terminating])
    wanted = [key.name for key, node in nodes.items() if fit(ds, node).run]
    here = {name: placed[name] for name in wanted if name in placed}
    available = _count(here, lambda pod: is_available(pod, ds.spec.min_ready_seconds, now))
    return DaemonSetStatus(
        current_number_scheduled=len(here),
        number_misscheduled=sum(name not in wanted for name in placed if name),
        desired_number_scheduled=len(wanted),
        number_ready=_count(here, lambda pod: pod.is_ready),
        observed_generation=ds.metadata.generation,
        updated_number_scheduled=_count(here, lambda pod: pod.labels.get(CONTROLLER_REVISION_HASH) == version),
        number_available=available,
        number_unavailable=len(wanted) - available,
        collision_count=ds.status.collision_count,
        conditions=ds.status.conditions,
    )


def _count(placed: Mapping[str, list[WorkloadPod]], holds: Callable[[WorkloadPod], bool]) -> int:
    """Nodes with at least one such pod."""
    return sum(any(holds(pod) for pod in pods) for pods in placed.values())
