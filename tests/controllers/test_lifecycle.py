"""Ends: namespaces, owners in the foreground and orphaned, silent nodes; and what comes back when it is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.clock import format_time
from seamark.machinery.gvr import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS_V1,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SERVICEACCOUNTS,
    SERVICES,
)
from seamark.machinery.status import StatusError
from seamark.testing.builders import make_service, make_workload, to_create


async def missing(cluster: Any, gvr: Any, name: str, namespace: str = "") -> bool:
    try:
        await cluster.client.get(gvr, name, namespace=namespace)
    except StatusError as error:
        assert error.code == 404
        return True
    return False


async def there(cluster: Any, gvr: Any, name: str, namespace: str = "") -> bool:
    return not await missing(cluster, gvr, name, namespace)


async def test_namespace_gets_its_defaults_and_gets_them_back(cluster: Any) -> None:
    client = cluster.client
    await client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    for gvr, name in ((SERVICEACCOUNTS, "default"), (CONFIGMAPS, "kube-root-ca.crt")):
        await cluster.eventually(lambda gvr=gvr, name=name: there(cluster, gvr, name, "shop"))
        await client.delete(gvr, name, namespace="shop")
        await cluster.eventually(lambda gvr=gvr, name=name: there(cluster, gvr, name, "shop"))
    await client.patch(CONFIGMAPS, "kube-root-ca.crt", {"data": {"ca.crt": "false"}}, namespace="shop")

    async def mended() -> bool:
        return (await client.get(CONFIGMAPS, "kube-root-ca.crt", namespace="shop"))["data"] == {"ca.crt": "CA"}

    await cluster.eventually(mended)


async def test_deleted_namespace_is_emptied_and_goes(cluster: Any) -> None:
    client = cluster.client
    await client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cluster.eventually(lambda: there(cluster, SERVICEACCOUNTS, "default", "shop"))
    web = to_create(make_workload("Deployment", "web", replicas=3))
    await client.create(DEPLOYMENTS, {**web, "metadata": {**web["metadata"], "namespace": "shop"}})
    service = to_create(make_service("web"))
    await client.create(SERVICES, {**service, "metadata": {**service["metadata"], "namespace": "shop"}})
    pods = await cluster.ready_pods(3, "shop")
    kept = pods[0]
    cluster.nodes[kept.spec.node_name].keeps.add(kept.metadata.name)
    await client.delete(NAMESPACES, "shop")

    async def only_the_pod_is_left() -> bool:
        return len(await cluster.pods("shop")) == 1 and not await client.list(SERVICES, namespace="shop")

    await cluster.eventually(only_the_pod_is_left)
    assert (await client.get(NAMESPACES, "shop"))["status"]["phase"] == "Terminating"
    await client.delete(PODS, kept.metadata.name, namespace="shop", options={"gracePeriodSeconds": 0})
    await cluster.clock.advance(6)  # what has no informer here, such as Events, is looked for every five seconds
    await cluster.eventually(lambda: missing(cluster, NAMESPACES, "shop"))


async def test_foreground_deletion_waits_for_the_pods(cluster: Any) -> None:
    client = cluster.client
    await client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=2)))
    pods = await cluster.ready_pods(2)
    cluster.nodes[pods[0].spec.node_name].keeps.add(pods[0].metadata.name)
    await client.delete(DEPLOYMENTS, "web", namespace="default", options={"propagationPolicy": "Foreground"})

    async def one_left() -> bool:
        return len(await cluster.pods()) == 1

    await cluster.eventually(one_left)
    assert await there(cluster, DEPLOYMENTS, "web", "default")
    await client.delete(PODS, pods[0].metadata.name, namespace="default", options={"gracePeriodSeconds": 0})
    await cluster.eventually(lambda: missing(cluster, DEPLOYMENTS, "web", "default"))
    assert await client.list(REPLICASETS, namespace="default") == []


async def test_a_circle_of_owners_ends_in_the_foreground(cluster: Any) -> None:
    client, names = cluster.client, ("a", "b", "c")
    uids = {}
    for name in names:
        made = await client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})
        uids[name] = made["metadata"]["uid"]
    for name, owned_by in zip(names, ("c", "a", "b"), strict=True):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owned_by, "uid": uids[owned_by]}
        patch = {"metadata": {"ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}]}}
        await client.patch(CONFIGMAPS, name, patch, namespace="default")
    await client.delete(CONFIGMAPS, "a", namespace="default", options={"propagationPolicy": "Foreground"})
    for name in names:
        await cluster.eventually(lambda name=name: missing(cluster, CONFIGMAPS, name, "default"))


async def test_orphaned_pods_stay_and_are_taken_up_again(cluster: Any) -> None:
    client = cluster.client
    wanted = to_create(make_workload("Deployment", "web", replicas=2))
    await client.create(DEPLOYMENTS, wanted)
    before = {p.metadata.uid for p in await cluster.ready_pods(2)}
    await client.delete(DEPLOYMENTS, "web", namespace="default", options={"propagationPolicy": "Orphan"})
    await cluster.eventually(lambda: missing(cluster, DEPLOYMENTS, "web", "default"))
    (rs,) = await client.list(REPLICASETS, namespace="default")
    assert not rs["metadata"].get("ownerReferences")
    await client.create(DEPLOYMENTS, wanted)

    async def adopted() -> bool:
        (found,) = await client.list(REPLICASETS, namespace="default")
        return bool(found["metadata"].get("ownerReferences"))

    await cluster.eventually(adopted)
    assert {p.metadata.uid for p in await cluster.ready_pods(2)} == before


async def test_silent_node_loses_its_pods_readiness_at_once_and_its_pods_in_time(cluster: Any) -> None:
    client = cluster.client
    await client.create(SERVICES, to_create(make_service("web")))
    await client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=3)))
    await cluster.ready_pods(3)
    cluster.nodes["node2"].keeps |= {p.metadata.name for p in await cluster.pods()}  # nobody is there to end them
    await cluster.pass_time(50, silent="node2")

    async def unreachable() -> bool:
        node = await client.get(NODES, "node2")
        states = {c["type"]: c["status"] for c in node["status"]["conditions"]}
        taints = {t["key"] for t in node["spec"].get("taints") or []}
        return states["Ready"] == "Unknown" and taints == {"node.kubernetes.io/unreachable"}

    await cluster.eventually(unreachable)

    async def ready_endpoints() -> int:
        slices = await client.list(ENDPOINTSLICES, namespace="default")
        mine = [s for s in slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == "web"]
        return sum(e["conditions"]["ready"] for s in mine for e in s["endpoints"] or [])

    async def two() -> bool:
        return await ready_endpoints() == 2

    await cluster.eventually(two)
    assert len(await cluster.pods()) == 3, "the pod has its five minutes"
    await cluster.pass_time(310, silent="node2")

    async def moved() -> bool:
        return len(await cluster.pods(ready=True)) == 3 and await ready_endpoints() == 3

    await cluster.eventually(moved)
    await cluster.nodes["node2"].renew()
    node = await client.get(NODES, "node2")
    node["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    await client.update_status(NODES, node)

    async def well() -> bool:
        return not (await client.get(NODES, "node2"))["spec"].get("taints")

    await cluster.eventually(well)


async def test_pods_of_a_deleted_node_are_removed_after_the_quarantine(cluster: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=3)))
    pods = await cluster.ready_pods(3)
    lost = next(p for p in pods if p.spec.node_name == "node2")
    cluster.nodes["node2"].keeps.add(lost.metadata.name)
    await cluster.client.delete(NODES, "node2")
    await cluster.pass_time(1)  # the quarantine begins when the controller sees it
    await cluster.pass_time(38)
    assert await there(cluster, PODS, lost.metadata.name, "default")
    await cluster.pass_time(4)
    await cluster.eventually(lambda: missing(cluster, PODS, lost.metadata.name, "default"))
    assert {p.spec.node_name for p in await cluster.ready_pods(3)} == {"master1", "node1"}


@pytest.mark.parametrize("gvr", [SERVICES, ENDPOINTS, ENDPOINTSLICES], ids=lambda gvr: gvr.resource)
async def test_kubernetes_service_comes_back(cluster: Any, gvr: Any) -> None:
    await cluster.eventually(lambda: there(cluster, gvr, "kubernetes", "default"))
    before = (await cluster.client.get(gvr, "kubernetes", namespace="default"))["metadata"]["uid"]
    await cluster.client.delete(gvr, "kubernetes", namespace="default")

    async def anew() -> bool:
        if await missing(cluster, gvr, "kubernetes", "default"):
            return False
        return (await cluster.client.get(gvr, "kubernetes", namespace="default"))["metadata"]["uid"] != before

    await cluster.eventually(anew)


async def test_edited_corefile_stays_edited(cluster: Any) -> None:
    await cluster.eventually(lambda: there(cluster, CONFIGMAPS, "coredns", "kube-system"))
    await cluster.client.patch(CONFIGMAPS, "coredns", {"data": {"Corefile": "mine"}}, namespace="kube-system")
    await cluster.clock.advance(60)
    found = await cluster.client.get(CONFIGMAPS, "coredns", namespace="kube-system")
    assert found["data"]["Corefile"] == "mine"


async def test_a_new_node_is_told(cluster: Any) -> None:
    query = {"fieldSelector": "involvedObject.kind=Node,reason=RegisteredNode"}

    async def told() -> bool:
        events = await cluster.client.list(EVENTS_V1, query=query)
        return {e["involvedObject"]["name"] for e in events} == set(cluster.nodes)

    await cluster.eventually(told)


async def test_events_go_after_an_hour(cluster: Any) -> None:
    client, clock = cluster.client, cluster.clock

    async def say(name: str) -> None:
        about = {"kind": "Pod", "namespace": "default", "name": "web"}
        event = {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about, "reason": "Told"}
        await client.create(EVENTS_V1, {**event, "lastTimestamp": format_time(clock.time())})

    async def told() -> list[str]:
        events = await client.list(EVENTS_V1, namespace="default", query={"fieldSelector": "reason=Told"})
        return [event["metadata"]["name"] for event in events]

    async def only_the_late() -> bool:
        return await told() == ["late"]

    await say("early")
    await clock.advance(1800)
    await say("late")
    await clock.advance(1500)
    assert await told() == ["early", "late"]
    await clock.advance(600)
    await cluster.eventually(only_the_late)
