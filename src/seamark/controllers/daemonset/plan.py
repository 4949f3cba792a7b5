"""DaemonSet, nodes and pods -> on which nodes to make a pod, which pods to delete, and the status.

Two ways to replace an old pod. With ``maxUnavailable`` it is deleted and the next look makes the new one: first those
that serve nobody, then as many as the bound allows. With ``maxSurge`` the new one starts beside it, and the old one
goes when the new one is available; a node then has two pods for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from seamark.controllers.daemonset.pods import Fit, fit, target_node
from seamark.controllers.pods import created_at, is_available, next_availability
from seamark.controllers.revision import CONTROLLER_REVISION_HASH
from seamark.controllers.shares import resolve_share
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


class _Here(NamedTuple):
    """What runs on one node: of each version the oldest, and what is too much."""

    new: WorkloadPod | None
    old: WorkloadPod | None
    extra: list[WorkloadPod]


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
        pods_here = placed.get(name, [])
        live = [pod for pod in pods_here if not pod.is_terminating]
        fits_here = fits.get(name, Fit(run=False, stay=False))
        if not fits_here.stay:
            delete += live
            continue
        failed += [pod for pod in live if pod.is_finished]
        delete += _here(ds, live, version).extra
        if fits_here.run and not pods_here:
            create.append(name)
    if not create and not delete and not failed:
        create, delete = _plan_update(ds, placed, [name for name, found in fits.items() if found.run], version, now)
    again = next_availability(list(pods), ds.spec.min_ready_seconds, now)
    return Plan(tuple(create), tuple(delete), tuple(failed), again)


def _here(ds: DaemonSet, pods: Sequence[WorkloadPod], version: str) -> _Here:
    running = sorted(
        (pod for pod in pods if not pod.is_finished and not pod.is_terminating),
        key=lambda pod: (not pod.spec.node_name, created_at(pod)),
    )
    new = next((pod for pod in running if _version_of(pod) == version), None)
    old = next((pod for pod in running if _version_of(pod) != version), None)
    if new is not None and old is not None and not _bound(ds, "max_surge", len(pods)):
        kept = running[:1]
    else:
        kept = [pod for pod in (new, old) if pod is not None]
    extra = [pod for pod in running if pod not in kept]
    return _Here(new if new in kept else None, old if old in kept else None, extra)


def _version_of(pod: WorkloadPod) -> str:
    return pod.labels.get(CONTROLLER_REVISION_HASH, "")


def _by_node(pods: Sequence[WorkloadPod]) -> dict[str, list[WorkloadPod]]:
    found: dict[str, list[WorkloadPod]] = {}
    for pod in pods:
        found.setdefault(target_node(pod), []).append(pod)
    return found


def _plan_update(
    ds: DaemonSet, placed: Mapping[str, list[WorkloadPod]], wanted: Sequence[str], version: str, now: float
) -> tuple[list[str], list[WorkloadPod]]:
    """Nodes on which to start a new pod beside the old one, and old pods to delete."""
    if ds.spec.update_strategy.type == "OnDelete":
        return [], []

    def serves(pod: WorkloadPod | None) -> bool:
        return pod is not None and is_available(pod, ds.spec.min_ready_seconds, now)

    here = {name: _here(ds, placed.get(name, ()), version) for name in sorted(wanted)}
    surge = _bound(ds, "max_surge", len(wanted))
    if surge:
        done = [h.old for h in here.values() if h.old is not None and serves(h.new)]
        started = sum(h.new is not None and h.old is not None and not serves(h.new) for h in here.values())
        waiting = [(serves(h.old), name) for name, h in here.items() if h.old is not None and h.new is None]
        broken = [name for serving, name in waiting if not serving]  # nobody loses anything there
        room = max(0, surge - started)
        return [*broken, *[name for serving, name in waiting if serving][:room]], done
    unavailable = sum(not serves(h.new) and not serves(h.old) for h in here.values())
    old = [h.old for h in here.values() if h.old is not None]
    room = max(0, max(1, _bound(ds, "max_unavailable", len(wanted))) - unavailable)
    return [], [*(pod for pod in old if not serves(pod)), *[pod for pod in old if serves(pod)][:room]]


def _bound(ds: DaemonSet, name: str, total: int) -> int:
    """A number, or a share that rounds up; max_unavailable is 1 where it is not said, max_surge 0."""
    rolling = ds.spec.update_strategy.rolling_update
    value = getattr(rolling, name) if rolling is not None else None
    if value is None:
        return 1 if name == "max_unavailable" else 0
    return resolve_share(value, total, up=True)


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
        updated_number_scheduled=_count(here, lambda pod: _version_of(pod) == version),
        number_available=available,
        number_unavailable=len(wanted) - available,
        collision_count=ds.status.collision_count,
        conditions=ds.status.conditions,
    )


def _count(placed: Mapping[str, list[WorkloadPod]], holds: Callable[[WorkloadPod], bool]) -> int:
    """Nodes with at least one such pod."""
    return sum(any(holds(pod) for pod in pods) for pods in placed.values())
