"""Claims and volumes: who gets whom, what is said meanwhile, and what becomes of a volume without its claim."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.controllers.persistentvolume.binding import unbinding_patch, volume_patch
from seamark.controllers.persistentvolume.plan import (
    LOST_NAME,
    LOST_VOLUME,
    MISBOUND,
    NO_CLASS,
    WAITING,
    Bind,
    ClaimAction,
    SetClass,
    SetPhase,
    Unbind,
    VolumeAction,
    plan_claim,
    plan_volume,
)
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim, StorageClass

DONE = {"pv.kubernetes.io/bind-completed": "yes"}


def volume(name: str = "v", size: str = "1Gi", phase: str = "Available", **spec: Any) -> PersistentVolume:
    labels = spec.pop("labels", {})
    body = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **spec}
    meta = {"name": name, "labels": labels}
    return msgspec.convert({"metadata": meta, "spec": body, "status": {"phase": phase}}, PersistentVolume)


def claim(size: str = "1Gi", annotations: dict[str, str] | None = None, **spec: Any) -> PersistentVolumeClaim:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": ""}
    meta = {"name": "c", "namespace": "default", "uid": "u", "annotations": annotations or {}}
    return msgspec.convert({"metadata": meta, "spec": {**body, **spec}}, PersistentVolumeClaim)


def storageclass(provisioner: str = "kubernetes.io/no-provisioner", mode: str = "Immediate", **meta: Any) -> Any:
    body = {"metadata": {"name": "k", **meta}, "provisioner": provisioner, "volumeBindingMode": mode}
    return msgspec.convert(body, StorageClass)


MINE = {"namespace": "default", "name": "c", "uid": "u"}
SET_ASIDE = {"namespace": "default", "name": "c"}
OTHERS = {"namespace": "default", "name": "other", "uid": "w"}
DEFAULT = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}


@pytest.mark.parametrize(
    ("one", "volumes", "classes", "wanted"),
    [
        pytest.param(claim(), [volume("l", "3Gi"), volume("m", "2Gi")], [], "m", id="the smallest that holds it"),
        pytest.param(claim("2Gi"), [volume()], [], SetPhase("Pending", "FailedBinding", NO_CLASS, False), id="small"),
        pytest.param(claim(), [volume(storageClassName="x")], [], NO_CLASS, id="of another class"),
        pytest.param(claim(), [volume(accessModes=["ReadOnlyMany"])], [], NO_CLASS, id="without the access mode"),
        pytest.param(claim(), [volume(volumeMode="Block")], [], NO_CLASS, id="of another mode"),
        pytest.param(claim(), [volume(phase="Released")], [], NO_CLASS, id="not available"),
        pytest.param(claim(), [volume(claimRef=OTHERS)], [], NO_CLASS, id="somebody else's"),
        pytest.param(claim(), [volume(), volume("s", "9Gi", claimRef=SET_ASIDE)], [], "s", id="set aside for it"),
        pytest.param(
            claim(selector={"matchLabels": {"disk": "ssd"}}),
            [volume(), volume("w", "9Gi", labels={"disk": "ssd"})],
            [],
            "w",
            id="by its labels",
        ),
        pytest.param(
            claim(storageClassName=None),
            [volume(storageClassName="x")],
            [storageclass(**DEFAULT)],
            SetClass("k"),
            id="default class",
        ),
        pytest.param(
            claim(storageClassName="k"),
            [volume(storageClassName="k")],
            [storageclass(mode="WaitForFirstConsumer")],
            WAITING,
            id="waits for a pod",
        ),
        pytest.param(
            claim(storageClassName="k"),
            [volume(storageClassName="k", claimRef=SET_ASIDE)],
            [storageclass(mode="WaitForFirstConsumer")],
            "v",
            id="a pod has come, and the scheduler chosen",
        ),
        pytest.param(
            claim(storageClassName="k"), [], [], 'storageclass.storage.k8s.io "k" not found', id="no such class"
        ),
        pytest.param(
            claim(storageClassName="k"),
            [],
            [storageclass()],
            "no volume plugin matched name: kubernetes.io/no-provisioner",
            id="nobody makes volumes",
        ),
        pytest.param(claim(volumeName="v"), [], [], SetPhase("Pending"), id="the one it names is not there"),
        pytest.param(claim(volumeName="v"), [volume(claimRef=OTHERS)], [], 'volume "v" already bound', id="or taken"),
        pytest.param(claim("2Gi", volumeName="v"), [volume()], [], "requested PV is too small", id="or too small"),
        pytest.param(claim(volumeName="v"), [volume()], [], "v", id="or free"),
        pytest.param(claim(annotations=DONE), [], [], LOST_NAME, id="bound, but to what"),
        pytest.param(claim(annotations=DONE, volumeName="v"), [], [], LOST_VOLUME, id="bound to what is gone"),
        pytest.param(
            claim(annotations=DONE, volumeName="v"), [volume(claimRef=OTHERS)], [], MISBOUND, id="bound to another's"
        ),
    ],
)
def test_plan_claim(
    one: PersistentVolumeClaim,
    volumes: list[PersistentVolume],
    classes: list[StorageClass],
    wanted: ClaimAction | str,
) -> None:
    """A text is the name of the volume that it is bound to, or part of what is said."""
    found = plan_claim(one, {v.metadata.name: v for v in volumes}, {c.metadata.name: c for c in classes})
    if not isinstance(wanted, str):
        assert found == wanted
    elif isinstance(found, Bind):
        assert found.volume.metadata.name == wanted
    else:
        assert isinstance(found, SetPhase)
        assert wanted in found.message


@pytest.mark.parametrize(
    ("one", "of", "wanted"),
    [
        pytest.param(volume(phase="Pending"), None, SetPhase("Available"), id="free"),
        pytest.param(volume(claimRef=SET_ASIDE), None, None, id="set aside, still available"),
        pytest.param(volume(phase="Bound", claimRef=MINE), None, SetPhase("Released"), id="its claim is gone"),
        pytest.param(volume(phase="Available", claimRef=MINE), claim(volumeName="v"), SetPhase("Bound"), id="bound"),
        pytest.param(volume(phase="Bound", claimRef=MINE), claim(), None, id="its claim has not answered yet"),
        pytest.param(volume(phase="Bound", claimRef=MINE), claim(volumeName="w"), Unbind(), id="it took another"),
        pytest.param(volume(phase="Released", claimRef=MINE), None, None, id="retained"),
        pytest.param(
            volume(phase="Released", claimRef=MINE, persistentVolumeReclaimPolicy="Recycle"),
            None,
            SetPhase("Failed", "VolumeFailedRecycle", "No recycler plugin found for the volume!"),
            id="nobody recycles",
        ),
    ],
)
def test_plan_volume(one: PersistentVolume, of: PersistentVolumeClaim | None, wanted: VolumeAction | None) -> None:
    assert plan_volume(one, of) == wanted


def test_volume_that_a_user_set_aside_keeps_the_name() -> None:
    patch = volume_patch(volume(claimRef=SET_ASIDE), claim())
    assert patch is not None
    assert "annotations" not in patch["metadata"]
    assert unbinding_patch(volume(claimRef=MINE))["spec"] == {
        "claimRef": {"namespace": "default", "name": "c", "uid": None, "resourceVersion": None}
    }
