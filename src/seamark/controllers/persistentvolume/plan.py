"""A claim and the volumes there are -> its volume, or why it has none; a volume and its claim -> its phase. Pure.

The words of the events are Kubernetes', since ``kubectl describe pvc`` is where people look. Nothing here makes a
volume: a class with a provisioner waits for one from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seamark.machinery.volumematch import could_hold, select_volume
from seamark.model.volume import (
    BIND_COMPLETED,
    PROVISIONED_BY,
    SELECTED_NODE,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)

IN_TREE = "kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Bind:
    volume: PersistentVolume


@dataclass(frozen=True, slots=True)
class SetClass:
    """The claim named no class and there is a default one."""

    name: str


@dataclass(frozen=True, slots=True)
class SetPhase:
    """With an event where it comes with a reason."""

    phase: str
    reason: str = ""
    message: str = ""
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Unbind:
    """The volume is not for its claim, which took another."""


ClaimAction = Bind | SetClass | SetPhase
VolumeAction = SetPhase | Unbind

NO_CLASS = "no persistent volumes available for this claim and no storage class is set"
WAITING = "waiting for first consumer to be created before binding"
LOST_NAME = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
LOST_VOLUME = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
MISBOUND = "Two claims are bound to the same volume, this one is bound incorrectly"


def plan_claim(
    claim: PersistentVolumeClaim, volumes: Mapping[str, PersistentVolume], classes: Mapping[str, StorageClass]
) -> ClaimAction | None:
    if BIND_COMPLETED in claim.annotations:
        return _plan_bound(claim, volumes)
    if claim.metadata.deletion_timestamp is not None:
        return None
    if claim.spec.volume_name:
        return _plan_named(claim, volumes.get(claim.spec.volume_name))
    known = classes.get(claim.storage_class or "")
    waits = known is not None and known.waits and SELECTED_NODE not in claim.annotations
    volume = select_volume(claim, volumes.values(), waits=waits)
    if volume is not None:
        return Bind(volume)
    return _plan_waiting(claim, classes, waits=waits)


def _plan_waiting(
    claim: PersistentVolumeClaim, classes: Mapping[str, StorageClass], *, waits: bool
) -> ClaimAction | None:
    """No volume is free for it."""
    name = claim.storage_class
    if name is None:
        found = default_class(classes.values())
        if found is not None:
            return SetClass(found.metadata.name)
    if waits:
        return SetPhase("Pending", "WaitForFirstConsumer", WAITING, warning=False)
    if not name:
        return SetPhase("Pending", "FailedBinding", NO_CLASS, warning=False)
    known = classes.get(name)
    if known is None:
        return SetPhase("Pending", "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found')
    if known.provisioner.startswith(IN_TREE):
        text = f"no volume plugin matched name: {known.provisioner}"
        return SetPhase("Pending", "ProvisioningFailed", text)
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{known.provisioner}' or manually by "
        "the system administrator. If volume creation is delayed, please verify that the provisioner is running and "
        "correctly registered."
    )
    return SetPhase("Pending", "ExternalProvisioning", text, warning=False)


def default_class(classes: Iterable[StorageClass]) -> StorageClass | None:
    """The youngest of those that say so."""
    marked = [one for one in classes if one.is_default and one.metadata.deletion_timestamp is None]
    return max(marked, key=lambda one: (one.metadata.creation_timestamp or "", one.metadata.name), default=None)


def _plan_named(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> ClaimAction | None:
    """The user has chosen the volume."""
    if volume is None:
        return SetPhase("Pending")
    if volume.spec.claim_ref is None:
        if not _satisfies(volume, claim):
            text = f'Cannot bind to requested volume "{volume.metadata.name}": {_misfit(volume, claim)}'
            return SetPhase("Pending", "VolumeMismatch", text)
        return Bind(volume)
    if volume.is_for(claim):
        return Bind(volume)
    text = f'volume "{volume.metadata.name}" already bound to a different claim.'
    return SetPhase("Pending", "FailedBinding", text)


def _satisfies(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    return not _misfit(volume, claim)


def _misfit(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    if volume.spec.volume_mode != claim.spec.volume_mode:
        return "incompatible volumeMode"
    if not could_hold(volume, claim):
        return "requested PV is too small"
    if volume.storage_class != (claim.storage_class or ""):
        return "storageClassName does not match"
    if not set(claim.spec.access_modes or ()) <= set(volume.spec.access_modes or ()):
        return "incompatible accessMode"
    return ""


def _plan_bound(claim: PersistentVolumeClaim, volumes: Mapping[str, PersistentVolume]) -> ClaimAction | None:
    if not claim.spec.volume_name:
        return SetPhase("Lost", "ClaimLost", LOST_NAME)
    volume = volumes.get(claim.spec.volume_name)
    if volume is None:
        return SetPhase("Lost", "ClaimLost", LOST_VOLUME)
    ref = volume.spec.claim_ref
    if ref is None or (ref.uid in ("", claim.metadata.uid) and volume.claim == claim.key):
        return Bind(volume)
    return SetPhase("Lost", "ClaimMisbound", MISBOUND)


def plan_volume(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> VolumeAction | None:
    """``claim`` is the one of the name in claimRef; it may be another of that name."""
    ref, phase = volume.spec.claim_ref, volume.status.phase
    if ref is None or not ref.uid:
        return None if phase == "Available" else SetPhase("Available")
    if claim is None or claim.metadata.uid != ref.uid:
        if phase not in ("Released", "Failed"):
            return SetPhase("Released")
        return _plan_reclaim(volume) if phase == "Released" else None
    if claim.spec.volume_name == volume.metadata.name:
        return None if phase == "Bound" else SetPhase("Bound")
    if not claim.spec.volume_name:
        return None  # the claim's own turn
    return Unbind()


def _plan_reclaim(volume: PersistentVolume) -> SetPhase | None:
    """Retained volumes wait for an administrator. Nobody here may touch what is on the disk of a node."""
    by, name = volume.annotations.get(PROVISIONED_BY, ""), volume.metadata.name
    match volume.spec.persistent_volume_reclaim_policy:
        case "Delete" if not by or by.startswith(IN_TREE):
            text = f'Error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
            return SetPhase("Failed", "VolumeFailedDelete", text)
        case "Recycle":
            return SetPhase("Failed", "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    return None
