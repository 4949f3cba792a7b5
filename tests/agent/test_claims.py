"""persistentVolumeClaim volumes: from the claim to the place on the disk, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from seamark.agent.claims import ClaimKeeper, place_of, prepare_place
from seamark.agent.podspec import HostPath, Pod
from seamark.agent.volumes import VolumeError
from seamark.machinery.status import not_found
from seamark.model.volume import PersistentVolume

Obj = dict[str, Any]
BOUND = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}


class Objects:
    """A client of what it was given; counts what it was asked."""

    def __init__(self, *objects: Obj) -> None:
        self.objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.asked = 0

    async def get(self, gvr: Any, name: str, *, namespace: str = "") -> Obj:
        self.asked += 1
        try:
            return self.objects[gvr.kind, name]
        except KeyError:
            raise not_found(gvr.resource, name) from None


def claim(to: str = "v", **meta: Any) -> Obj:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default", "uid": "u", **meta},
        "spec": {"volumeName": to},
    }


def volume(uid: str = "u", **spec: Any) -> Obj:
    ref = {"namespace": "default", "name": "data", "uid": uid}
    return {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"claimRef": ref, **spec}}


def pod() -> Pod:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]
    return msgspec.convert(
        {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes, "containers": []}}, Pod
    )


async def resolve(client: Objects) -> HostPath | None:
    found = await ClaimKeeper(client).resolve(pod())  # type: ignore[arg-type]  # as much of a client as is needed
    return (found.spec.volumes or [])[0].host_path


async def test_place_of_a_bound_claim_is_read_once() -> None:
    client = Objects(claim(**BOUND), volume(hostPath={"path": "/x", "type": "DirectoryOrCreate"}))
    keeper = ClaimKeeper(client)  # type: ignore[arg-type]
    for _ in range(2):
        found = (await keeper.resolve(pod())).spec.volumes or []
        assert found[0].host_path == HostPath("/x", "DirectoryOrCreate")
    assert client.asked == 2


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        pytest.param([], 'persistentvolumeclaims "data" not found', id="no claim"),
        pytest.param([claim()], "PVC default/data is not bound", id="not bound"),
        pytest.param([claim(**BOUND)], 'persistentvolumes "v" not found', id="no volume"),
        pytest.param(
            [claim(**BOUND), volume("other", hostPath={"path": "/x"})],
            "PV v is not bound to PVC default/data",
            id="another claim's",
        ),
        pytest.param([claim(**BOUND), volume(nfs={"server": "x"})], "there are hostPath and local", id="not on disk"),
    ],
)
async def test_refused(objects: list[Obj], told: str) -> None:
    with pytest.raises(VolumeError, match=told):
        await resolve(Objects(*objects))


def test_block_devices_are_refused() -> None:
    block = msgspec.convert(volume(volumeMode="Block", local={"path": "/dev/x"}), PersistentVolume)
    with pytest.raises(VolumeError, match="volumeMode 'Block' is not provided"):
        place_of(block)


def test_local_volume_must_be_there(tmp_path: Path) -> None:
    prepare_place(HostPath(str(tmp_path), "Directory"), None)
    with pytest.raises(VolumeError, match="does not exist"):
        prepare_place(HostPath(str(tmp_path / "no"), "Directory"), None)
