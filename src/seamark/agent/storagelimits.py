"""Limits of a pod's storage on the node's disk, and what is said of a pod that is over one, in kubelet's words (pure).

There are three: of an emptyDir (``sizeLimit``), of the pod (its containers' limits together, which volumes count
against), of a container (its writable layer and logs). Nothing keeps a pod from writing more; it is evicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seamark.agent.eviction import GRACE, REASON, render_amount
from seamark.agent.look import Ending, is_sidecar
from seamark.agent.podspec import Container, Pod, Volume
from seamark.machinery.quantity import parse_quantity

RESOURCE = "ephemeral-storage"


@dataclass(frozen=True, slots=True)
class StorageUse:
    """Bytes by container and by volume."""

    containers: Mapping[str, int]
    volumes: Mapping[str, int]


def has_storage_limits(pod: Pod) -> bool:
    sized = any(is_on_disk(v) and v.empty_dir and v.empty_dir.size_limit for v in pod.spec.volumes or [])
    return sized or any(_limit(container) is not None for container in pod.spec.all_containers)


def is_on_disk(volume: Volume) -> bool:
    """An emptyDir in memory is a filesystem of its size."""
    return volume.empty_dir is not None and volume.empty_dir.medium != "Memory"


def select_exceeded(pod: Pod, use: StorageUse) -> Ending | None:
    """The first limit that the pod is over."""
    for volume in filter(is_on_disk, pod.spec.volumes or []):
        size = volume.empty_dir.size_limit if volume.empty_dir else None
        if size and 0 < int(parse_quantity(size)) < use.volumes.get(volume.name, 0):
            return _ending(f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{size}". ')
    total = _pod_limit(pod)
    if total is not None and sum(use.containers.values()) + sum(use.volumes.values()) > total:
        limits = render_amount(total)
        return _ending(f"Pod ephemeral local storage usage exceeds the total limit of containers {limits}. ")
    for container in pod.spec.all_containers:
        limit = _limit(container)
        if limit is not None and use.containers.get(container.name, 0) > limit:
            text = f'Container {container.name} exceeded its local ephemeral storage limit "{render_amount(limit)}". '
            return _ending(text)
    return None


def _ending(message: str) -> Ending:
    return Ending(REASON, message, GRACE)


def _limit(container: Container) -> int | None:
    limits = container.resources.limits or {}
    return int(parse_quantity(limits[RESOURCE])) if RESOURCE in limits else None


def _pod_limit(pod: Pod) -> int | None:
    """Of those that run side by side, or of one that runs before them, if that is more."""
    beside = [*filter(is_sidecar, pod.spec.init_containers), *pod.spec.containers]
    limits = [limit for container in beside if (limit := _limit(container)) is not None]
    before = [limit for container in pod.spec.init_containers if (limit := _limit(container)) is not None]
    return max(sum(limits), *before, 0) if limits or before else None
