"""A pod's claims -> where it may be, and which volumes it takes with it; pure.

A claim of a class that waits for its first consumer is bound here: the volume that fits the chosen node is set aside
for the claim, and the pod is looked at again when the binder has made it so. Every other claim must be bound before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from seamark.machinery.volumematch import is_reachable, select_volume
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.volume import NO_PROVISIONER, PersistentVolume, PersistentVolumeClaim, StorageClass
from seamark.scheduler.podspec import RequestingPod

NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


@dataclass(frozen=True, slots=True)
class Storage:
    """What there is, as the informers have it."""

    claims: Mapping[ObjectKey, PersistentVolumeClaim]
    volumes: Mapping[ObjectKey, PersistentVolume]
    classes: Mapping[ObjectKey, StorageClass]


NO_STORAGE = Storage({}, {}, {})


class SetAside(NamedTuple):
    """A volume for a claim; None = a provisioner is to make one for the node."""

    claim: PersistentVolumeClaim
    volume: PersistentVolume | None


@dataclass(frozen=True, slots=True)
class VolumeNeeds:
    """``blocked`` says why the pod can be nowhere yet."""

    blocked: str = ""
    bound: tuple[PersistentVolume | None, ...] = ()
    waiting: tuple[PersistentVolumeClaim, ...] = ()
    storage: Storage = NO_STORAGE

    def refuses(self, node: Node) -> str:
        """Why the node does not do; empty = it does."""
        for volume in self.bound:
            if volume is None:
                return GONE
            if not is_reachable(volume, node):
                return NODE_CONFLICT
        return "" if self.waiting == () or self.set_aside(node) is not None else NO_VOLUME

    def set_aside(self, node: Node) -> tuple[SetAside, ...] | None:
        """The volumes for the claims that wait; None where the node has none for one of them."""
        taken: frozenset[str] = frozenset()
        found: list[SetAside] = []
        for claim in self.waiting:
            volume = select_volume(claim, self.storage.volumes.values(), node=node, taken=taken)
            if volume is None and not self._can_be_made(claim):
                return None
            found.append(SetAside(claim, volume))
            taken |= {volume.metadata.name} if volume is not None else set()
        return tuple(found)

    def _can_be_made(self, claim: PersistentVolumeClaim) -> bool:
        known = self.storage.classes.get(ObjectKey("", claim.storage_class or ""))
        return known is not None and known.provisioner != NO_PROVISIONER


def plan_volumes(pod: RequestingPod, storage: Storage) -> VolumeNeeds:
    names = [volume.claim_name for volume in pod.spec.volumes or () if volume.claim_name]
    if not names:
        return VolumeNeeds()
    bound: list[PersistentVolume | None] = []
    waiting: list[PersistentVolumeClaim] = []
    for name in names:
        claim = storage.claims.get(ObjectKey(pod.metadata.namespace, name))
        if claim is None:
            return VolumeNeeds(f'persistentvolumeclaim "{name}" not found')
        if claim.metadata.deletion_timestamp is not None:
            return VolumeNeeds(f'persistentvolumeclaim "{name}" is being deleted')
        if claim.status.phase == "Lost":
            return VolumeNeeds(
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.spec.volume_name}"'
            )
        if claim.is_bound:
            bound.append(storage.volumes.get(ObjectKey("", claim.spec.volume_name)))
            continue
        known = storage.classes.get(ObjectKey("", claim.storage_class or ""))
        if known is None or not known.waits or claim.spec.volume_name:
            return VolumeNeeds(UNBOUND)
        waiting.append(claim)
    return VolumeNeeds("", tuple(bound), tuple(waiting), storage)
