"""A claim or a volume that is being deleted -> whether it may go; pure."""

from __future__ import annotations

from collections.abc import Iterable

from seamark.controllers.workloads import WorkloadPod
from seamark.model.meta import Object
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def claims_of(pod: WorkloadPod) -> list[str]:
    return [volume.claim_name for volume in pod.spec.volumes or () if volume.claim_name]


def plan_claim(claim: PersistentVolumeClaim, pods: Iterable[WorkloadPod]) -> list[str] | None:
    """The finalizers that stay; None while nothing is to be done. ``pods`` are those of its namespace that name it."""
    in_use = any(not pod.is_finished for pod in pods)
    return None if in_use else _without(claim, CLAIM_FINALIZER)


def plan_volume(volume: PersistentVolume) -> list[str] | None:
    return None if volume.status.phase == "Bound" else _without(volume, VOLUME_FINALIZER)


def _without(one: Object, finalizer: str) -> list[str] | None:
    found = one.metadata.finalizers or []
    if one.metadata.deletion_timestamp is None or finalizer not in found:
        return None
    return [name for name in found if name != finalizer]
