"""Claims and volumes through the real API with all controllers and the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.gvr import EVENTS_V1, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES
from seamark.machinery.status import StatusError
from seamark.testing.builders import make_pod, to_create

Obj = dict[str, Any]


def volume(name: str, size: str = "1Gi", node: str = "", **spec: Any) -> Obj:
    body: Obj = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **spec}
    if node:
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
        body |= {"local": {"path": "/data"}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    elif "hostPath" not in body:
        body["hostPath"] = {"path": "/data"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": body}


def claim(name: str, size: str = "1Gi", cls: str | None = "", **spec: Any) -> Obj:
    body: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    if cls is not None:
        body["storageClassName"] = cls
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": body}


def storageclass(name: str, mode: str = "WaitForFirstConsumer", **annotations: str) -> Obj:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": mode,
    }


def pod_with(name: str, claimed: str) -> Obj:
    pod = to_create(make_pod(name))
    pod["spec"].pop("nodeName", None)
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claimed}}]
    return pod


async def phase_of(cluster: Any, kind: Any, name: str) -> tuple[str, str]:
    namespace = "default" if kind.namespaced else ""
    found = await cluster.client.get(kind, name, namespace=namespace)
    spec = found["spec"]
    return found["status"]["phase"], spec.get("volumeName") or (spec.get("claimRef") or {}).get("name") or ""


async def bound(cluster: Any, name: str, to: str) -> None:
    async def holds() -> bool:
        mine = await phase_of(cluster, PERSISTENTVOLUMECLAIMS, name)
        return mine == ("Bound", to) and await phase_of(cluster, PERSISTENTVOLUMES, to) == ("Bound", name)

    await cluster.eventually(holds, f"{name} is bound to {to}")


async def told(cluster: Any, reason: str) -> str:
    async def found() -> str:
        events = await cluster.client.list(EVENTS_V1, namespace="default")
        return next((e["message"] for e in events if e["reason"] == reason), "")

    return str(await cluster.eventually(found, reason))


async def test_claim_gets_the_smallest_volume_that_holds_it_and_both_live_as_long_as_they_are_used(
    cluster: Any,
) -> None:
    client = cluster.client
    for name, size in (("large", "5Gi"), ("right", "2Gi"), ("small", "500Mi")):
        await client.create(PERSISTENTVOLUMES, volume(name, size))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("data"))
    await bound(cluster, "data", "right")
    found = await client.get(PERSISTENTVOLUMECLAIMS, "data", namespace="default")
    assert found["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}
    assert found["metadata"]["annotations"] == {
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    await client.create(PODS, pod_with("user", "data"))
    await client.delete(PERSISTENTVOLUMECLAIMS, "data", namespace="default")
    await client.delete(PERSISTENTVOLUMES, "right")
    assert (await phase_of(cluster, PERSISTENTVOLUMECLAIMS, "data"))[0] == "Bound"
    await client.delete(PODS, "user", namespace="default", options={"gracePeriodSeconds": 0})

    async def both_gone() -> bool:
        claims = await client.list(PERSISTENTVOLUMECLAIMS, namespace="default")
        names = {one["metadata"]["name"] for one in await client.list(PERSISTENTVOLUMES)}
        return not claims and names == {"large", "small"}

    await cluster.eventually(both_gone, "claim and volume are gone")


async def test_released_volume_waits_for_an_administrator(cluster: Any) -> None:
    client = cluster.client
    await client.create(PERSISTENTVOLUMES, volume("kept"))
    await client.create(PERSISTENTVOLUMES, volume("lost", persistentVolumeReclaimPolicy="Delete", storageClassName="d"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("a"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("b", cls="d"))
    await bound(cluster, "a", "kept")
    await bound(cluster, "b", "lost")
    for name in ("a", "b"):
        await client.delete(PERSISTENTVOLUMECLAIMS, name, namespace="default")

    async def released() -> bool:
        kept, lost = [await phase_of(cluster, PERSISTENTVOLUMES, name) for name in ("kept", "lost")]
        return (kept[0], lost[0]) == ("Released", "Failed")

    await cluster.eventually(released, "released and failed")
    assert "no deletable volume plugin matched" in await told(cluster, "VolumeFailedDelete")
    await client.create(PERSISTENTVOLUMECLAIMS, claim("again"))
    assert await told(cluster, "FailedBinding")
    await client.patch(PERSISTENTVOLUMES, "kept", {"spec": {"claimRef": None}})
    await bound(cluster, "again", "kept")


async def test_volume_is_set_aside_and_claim_names_its_volume(cluster: Any) -> None:
    client = cluster.client
    await client.create(PERSISTENTVOLUMES, volume("aside", "9Gi", claimRef={"namespace": "default", "name": "mine"}))
    await client.create(PERSISTENTVOLUMES, volume("named", "9Gi", storageClassName="odd"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("other"))
    assert await told(cluster, "FailedBinding")
    await client.create(PERSISTENTVOLUMECLAIMS, claim("mine"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("choosy", cls="odd", volumeName="named"))
    await bound(cluster, "mine", "aside")
    await bound(cluster, "choosy", "named")
    assert (await phase_of(cluster, PERSISTENTVOLUMECLAIMS, "other")) == ("Pending", "")


async def test_waiting_class_binds_where_the_pod_goes(cluster: Any) -> None:
    client = cluster.client
    await client.create(STORAGECLASSES, storageclass("local"))
    nodes = sorted(cluster.nodes)
    await client.create(PERSISTENTVOLUMES, volume("there", node=nodes[-1], storageClassName="local"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("data", cls="local"))
    assert await told(cluster, "WaitForFirstConsumer") == "waiting for first consumer to be created before binding"
    assert (await phase_of(cluster, PERSISTENTVOLUMECLAIMS, "data")) == ("Pending", "")
    await client.create(PODS, pod_with("user", "data"))
    await bound(cluster, "data", "there")

    async def placed() -> bool:
        found = await client.get(PODS, "user", namespace="default")
        return bool(found["spec"].get("nodeName") == nodes[-1])

    await cluster.eventually(placed, "the pod is where its volume is")
    await client.create(PODS, pod_with("too-many", "absent"))

    async def waits() -> str:
        found = await client.get(PODS, "too-many", namespace="default")
        conditions = found["status"].get("conditions") or []
        return next((c["message"] for c in conditions if c.get("reason") == "Unschedulable"), "")

    message = await cluster.eventually(waits, "unschedulable")
    assert 'persistentvolumeclaim "absent" not found' in message


async def test_default_class_is_given_to_a_claim_without_one(cluster: Any) -> None:
    client, mark = cluster.client, {"storageclass.kubernetes.io/is-default-class": "true"}
    made = await client.create(PERSISTENTVOLUMECLAIMS, claim("early", cls=None))
    assert "storageClassName" not in made["spec"]
    await client.create(STORAGECLASSES, storageclass("usual", "Immediate", **mark))
    late = await client.create(PERSISTENTVOLUMECLAIMS, claim("late", cls=None))
    assert late["spec"]["storageClassName"] == "usual"

    async def given() -> bool:
        found = await client.get(PERSISTENTVOLUMECLAIMS, "early", namespace="default")
        return bool(found["spec"].get("storageClassName") == "usual")

    await cluster.eventually(given, "the early claim has the class too")


async def test_bound_claim_without_its_volume_is_lost(cluster: Any) -> None:
    client = cluster.client
    await client.create(PERSISTENTVOLUMES, volume("gone"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("data"))
    await bound(cluster, "data", "gone")
    await client.patch(PERSISTENTVOLUMES, "gone", {"metadata": {"finalizers": None}})
    await client.delete(PERSISTENTVOLUMES, "gone")

    async def lost() -> bool:
        return (await phase_of(cluster, PERSISTENTVOLUMECLAIMS, "data"))[0] == "Lost"

    await cluster.eventually(lost, "Lost")
    try:
        await client.patch(PERSISTENTVOLUMECLAIMS, "data", {"spec": {"volumeName": "x"}}, namespace="default")
    except StatusError as error:
        assert "spec is immutable after creation" in error.message


async def test_only_a_class_that_can_grow_lets_a_claim_ask_for_more(cluster: Any) -> None:
    for name, grows in (("fixed", False), ("elastic", True)):
        await cluster.client.create(STORAGECLASSES, storageclass(name, "Immediate") | {"allowVolumeExpansion": grows})
        await cluster.client.create(PERSISTENTVOLUMES, volume(f"v-{name}", storageClassName=name))
        await cluster.client.create(PERSISTENTVOLUMECLAIMS, claim(name, cls=name))
        await bound(cluster, name, f"v-{name}")
    more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    with pytest.raises(StatusError, match="only dynamically provisioned pvc can be resized"):
        await cluster.client.patch(PERSISTENTVOLUMECLAIMS, "fixed", more, namespace="default")
    grown = await cluster.client.patch(PERSISTENTVOLUMECLAIMS, "elastic", more, namespace="default")
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"
