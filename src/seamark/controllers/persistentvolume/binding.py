"""What a volume and a claim say of each other when they are bound: four patches, each None where it is so already.

A volume points to its claim by uid before the claim points back, so a claim that goes on the way leaves a volume that
knows whom it was for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.model.volume import BIND_COMPLETED, BOUND_BY_CONTROLLER, PersistentVolume, PersistentVolumeClaim

Patch = dict[str, Any]


def volume_patch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Patch | None:
    """The volume is for this claim."""
    ref, meta = volume.spec.claim_ref, claim.metadata
    if ref is not None and ref.uid == meta.uid:
        return None
    patch: Patch = {"metadata": {"resourceVersion": volume.metadata.resource_version}}
    if ref is None:
        patch["metadata"]["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
    patch["spec"] = {"claimRef": claim_reference(claim)}
    return patch


def claim_reference(claim: PersistentVolumeClaim) -> Patch:
    meta = claim.metadata
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace,
        "name": meta.name,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
    }


def claim_patch(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Patch | None:
    """The claim has this volume."""
    annotations: dict[str, str] = {}
    if BIND_COMPLETED not in claim.annotations:
        annotations[BIND_COMPLETED] = "yes"
    if not claim.spec.volume_name:
        annotations[BOUND_BY_CONTROLLER] = "yes"
    if not annotations and claim.spec.volume_name == volume.metadata.name:
        return None
    meta = {"resourceVersion": claim.metadata.resource_version, "annotations": annotations}
    return {"metadata": meta, "spec": {"volumeName": volume.metadata.name}}


def claim_status_patch(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Patch | None:
    """Bound, with what the volume offers, which may be more than was asked for."""
    status, spec = claim.status, volume.spec
    modes, capacity = list(spec.access_modes or ()), dict(spec.capacity or {})
    if (status.phase, status.access_modes, status.capacity) == ("Bound", modes, capacity):
        return None
    return {"status": {"phase": "Bound", "accessModes": modes, "capacity": capacity}}


def phase_patch(one: PersistentVolume | PersistentVolumeClaim, phase: str, now: str, message: str = "") -> Patch | None:
    if one.status.phase == phase:
        return None
    status: Patch = {"phase": phase}
    if isinstance(one, PersistentVolume):
        reason = "VolumeFailed" if phase == "Failed" else None
        status |= {"lastPhaseTransitionTime": now, "message": message or None, "reason": reason}
    elif phase != "Bound":
        status |= {"accessModes": None, "capacity": None}
    return {"status": status}


def unbinding_patch(volume: PersistentVolume) -> Patch:
    """The volume is nobody's again; one that a user set aside for a name keeps the name."""
    meta: Patch = {"resourceVersion": volume.metadata.resource_version}
    if BOUND_BY_CONTROLLER in volume.annotations:
        meta["annotations"] = {BOUND_BY_CONTROLLER: None}
        return {"metadata": meta, "spec": {"claimRef": None}}
    ref = msgspec.to_builtins(volume.spec.claim_ref)
    return {"metadata": meta, "spec": {"claimRef": {**ref, "uid": None, "resourceVersion": None}}}
