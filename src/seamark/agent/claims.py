"""persistentVolumeClaim volumes: from the claim to its volume to the place on this node's disk.

A pod comes to a node when its claims are bound; what is read here does not change any more while they are, so it is
read once. Afterwards the volume is mounted like a hostPath. Volumes that are not on the node's disk are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from seamark.agent.podspec import HostPath, Pod, Volume
from seamark.agent.volumefiles import set_volume_group
from seamark.agent.volumes import VolumeError
from seamark.client.client import Client
from seamark.machinery.gvr import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim


@dataclass(slots=True)
class ClaimKeeper:
    """Of one pod."""

    client: Client
    _found: dict[str, PersistentVolume] = field(default_factory=dict)

    async def resolve(self, pod: Pod) -> Pod:
        """The pod with its claims as places on the disk. Raises VolumeError."""
        volumes = pod.spec.volumes or []
        if not any(volume.persistent_volume_claim for volume in volumes):
            return pod
        resolved = [await self._resolve(pod, volume) for volume in volumes]
        return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, volumes=resolved))

    async def _resolve(self, pod: Pod, volume: Volume) -> Volume:
        claim = volume.persistent_volume_claim
        if claim is None:
            return volume
        found = self._found.get(claim.claim_name)
        if found is None:
            found = self._found[claim.claim_name] = await self._read(pod.metadata.namespace, claim.claim_name)
        return msgspec.structs.replace(volume, host_path=place_of(found))

    async def _read(self, namespace: str, name: str) -> PersistentVolume:
        try:
            claim = await self._get_claim(namespace, name)
            if not claim.is_bound:
                raise VolumeError(f"PVC {namespace}/{name} is not bound")
            volume = await self._get_volume(claim.spec.volume_name)
        except StatusError as error:
            raise VolumeError(f"error processing PVC {namespace}/{name}: {error.message}") from error
        if volume.spec.claim_ref is None or volume.spec.claim_ref.uid != claim.metadata.uid:
            text = f"PV {volume.metadata.name} is not bound to PVC {namespace}/{name}"
            raise VolumeError(text)
        return volume

    async def _get_claim(self, namespace: str, name: str) -> PersistentVolumeClaim:
        found = await self.client.get(PERSISTENTVOLUMECLAIMS, name, namespace=namespace)
        return codec.convert(found, PersistentVolumeClaim)

    async def _get_volume(self, name: str) -> PersistentVolume:
        return codec.convert(await self.client.get(PERSISTENTVOLUMES, name), PersistentVolume)


def place_of(volume: PersistentVolume) -> HostPath:
    """Raises VolumeError for storage that this node cannot mount."""
    spec, name = volume.spec, volume.metadata.name
    if spec.volume_mode != "Filesystem":
        raise VolumeError(f"PV {name}: volumeMode {spec.volume_mode!r} is not provided; there is Filesystem")
    if spec.host_path is not None:
        return HostPath(spec.host_path.path, spec.host_path.type)
    if spec.local is not None:
        return HostPath(spec.local.path, "Directory")
    raise VolumeError(f"PV {name}: a volume of this kind is not provided; there are hostPath and local")


def prepare_place(source: HostPath, group: int | None) -> None:
    """A local volume must be there, and belongs to the pod's fsGroup."""
    place = Path(source.path)
    if source.type == "Directory":
        if not place.exists():
            raise VolumeError(f'path "{source.path}" does not exist')
        set_volume_group(place, group)
