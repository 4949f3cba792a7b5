"""Where a pod's claims let it be, and which volumes it takes there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim, StorageClass
from seamark.scheduler.podspec import RequestingPod
from seamark.scheduler.volumes import GONE, NO_VOLUME, NODE_CONFLICT, UNBOUND, Storage, plan_volumes

BOUND = {"pv.kubernetes.io/bind-completed": "yes"}


def pod(*claims: str) -> RequestingPod:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    return msgspec.convert(
        {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes}}, RequestingPod
    )


def node(name: str) -> Node:
    return msgspec.convert({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}, Node)


def claim(name: str, to: str = "", cls: str = "local") -> PersistentVolumeClaim:
    meta = {"name": name, "namespace": "default", "uid": name, "annotations": BOUND if to else {}}
    spec = {"volumeName": to, "storageClassName": cls, "accessModes": ["ReadWriteOnce"]}
    return msgspec.convert({"metadata": meta, "spec": spec}, PersistentVolumeClaim)


def volume(name: str, on: str = "") -> PersistentVolume:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]}]
    spec: dict[str, Any] = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": 1}}
    if on:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return msgspec.convert(
        {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Available"}}, PersistentVolume
    )


def storage(claims: list[PersistentVolumeClaim], volumes: list[PersistentVolume], provisioner: str = "") -> Storage:
    one = {"metadata": {"name": "local"}, "volumeBindingMode": "WaitForFirstConsumer"}
    found = msgspec.convert({**one, "provisioner": provisioner or "kubernetes.io/no-provisioner"}, StorageClass)
    return Storage({c.key: c for c in claims}, {v.key: v for v in volumes}, {ObjectKey("", "local"): found})


@pytest.mark.parametrize(
    ("claims", "volumes", "refused"),
    [
        pytest.param([claim("c", "v")], [volume("v", "n1")], {"n1": "", "n2": NODE_CONFLICT}, id="bound to a disk"),
        pytest.param([claim("c", "v")], [volume("v")], {"n1": "", "n2": ""}, id="bound to what is everywhere"),
        pytest.param([claim("c", "v")], [], {"n1": GONE}, id="bound to what is gone"),
        pytest.param([claim("c")], [volume("v", "n1")], {"n1": "", "n2": NO_VOLUME}, id="to be bound to a disk"),
    ],
)
def test_refuses(claims: list[PersistentVolumeClaim], volumes: list[PersistentVolume], refused: dict[str, str]) -> None:
    needs = plan_volumes(pod("c"), storage(claims, volumes))
    assert {name: needs.refuses(node(name)) for name in refused} == refused


def test_two_claims_take_two_volumes() -> None:
    one, two = volume("one", "n1"), volume("two", "n1")
    needs = plan_volumes(pod("a", "b"), storage([claim("a"), claim("b")], [one, two]))
    found = needs.set_aside(node("n1"))
    assert found is not None
    assert {s.volume.metadata.name for s in found if s.volume} == {"one", "two"}
    short = plan_volumes(pod("a", "b"), storage([claim("a"), claim("b")], [one]))
    assert short.refuses(node("n1")) == NO_VOLUME


def test_provisioner_makes_volumes_anywhere() -> None:
    needs = plan_volumes(pod("c"), storage([claim("c")], [], "example.com/disks"))
    assert needs.refuses(node("n1")) == ""
    assert [s.volume for s in needs.set_aside(node("n1")) or ()] == [None]


@pytest.mark.parametrize(
    ("claims", "blocked"),
    [
        pytest.param([], 'persistentvolumeclaim "c" not found', id="no such claim"),
        pytest.param([claim("c", cls="at-once")], UNBOUND, id="not bound, and does not wait for a pod"),
    ],
)
def test_blocked(claims: list[PersistentVolumeClaim], blocked: str) -> None:
    assert plan_volumes(pod("c"), storage(claims, [])).blocked == blocked
