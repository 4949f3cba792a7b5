"""PersistentVolume, PersistentVolumeClaim and StorageClass, as far as Seamark reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.model.meta import Object, ObjectKey, Projection

Amount = str | int | float
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WAIT_FOR_CONSUMER = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


class ClaimVolume(Projection, frozen=True):
    claim_name: str = ""
    read_only: bool = False


class PodVolume(Projection, frozen=True):
    """A volume of a pod, as far as it is a claim."""

    name: str = ""
    persistent_volume_claim: ClaimVolume | None = None

    @property
    def claim_name(self) -> str:
        return self.persistent_volume_claim.claim_name if self.persistent_volume_claim is not None else ""


class ClaimReference(Projection, frozen=True):
    namespace: str = ""
    name: str = ""
    uid: str = ""


class HostPathSource(Projection, frozen=True):
    path: str = ""
    type: str = ""


class VolumeNodeAffinity(Projection, frozen=True):
    required: dict[str, Any] | None = None


class PersistentVolumeSpec(Projection, frozen=True):
    capacity: dict[str, Amount] | None = None
    access_modes: list[str] | None = None
    claim_ref: ClaimReference | None = None
    persistent_volume_reclaim_policy: str = "Retain"
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    node_affinity: VolumeNodeAffinity | None = None
    mount_options: list[str] | None = None
    host_path: HostPathSource | None = None
    local: HostPathSource | None = None


class PersistentVolumeStatus(Projection, frozen=True):
    phase: str = ""


class PersistentVolume(Object, frozen=True):
    spec: PersistentVolumeSpec = msgspec.field(default_factory=PersistentVolumeSpec)
    status: PersistentVolumeStatus = PersistentVolumeStatus()

    @property
    def storage_class(self) -> str:
        return self.annotations.get(CLASS_ANNOTATION) or self.spec.storage_class_name

    @property
    def claim(self) -> ObjectKey | None:
        """The claim it is for, bound or only meant."""
        ref = self.spec.claim_ref
        return ObjectKey(ref.namespace, ref.name) if ref is not None else None

    def is_for(self, claim: PersistentVolumeClaim) -> bool:
        """Whether it is bound to the claim or was set aside for one of its name."""
        ref = self.spec.claim_ref
        return self.claim == claim.key and ref is not None and ref.uid in ("", claim.metadata.uid)


class ClaimResources(Projection, frozen=True):
    requests: dict[str, Amount] | None = None


class ClaimSpec(Projection, frozen=True):
    access_modes: list[str] | None = None
    selector: dict[str, Any] | None = None
    resources: ClaimResources = ClaimResources()
    volume_name: str = ""
    storage_class_name: str | None = None
    volume_mode: str = "Filesystem"


class ClaimStatus(Projection, frozen=True):
    phase: str = ""
    access_modes: list[str] | None = None
    capacity: dict[str, Amount] | None = None


class PersistentVolumeClaim(Object, frozen=True):
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = ClaimStatus()

    @property
    def storage_class(self) -> str | None:
        """None = nobody has said; empty = none."""
        given = self.annotations.get(CLASS_ANNOTATION)
        return given if given is not None else self.spec.storage_class_name

    @property
    def is_bound(self) -> bool:
        return BIND_COMPLETED in self.annotations and bool(self.spec.volume_name)


class StorageClass(Object, frozen=True):
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"

    @property
    def waits(self) -> bool:
        """Whether a claim of it is bound only when a pod asks for it."""
        return self.volume_binding_mode == WAIT_FOR_CONSUMER

    @property
    def is_default(self) -> bool:
        return self.annotations.get(DEFAULT_CLASS) == "true"
