"""Sets of pods through the real API in memory: rollouts, order, adoption, daemons."""

from __future__ import annotations

from typing import Any

from seamark.machinery.gvr import (
    DAEMONSETS,
    DEPLOYMENTS,
    EVENTS_V1,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    REPLICASETS,
    STATEFULSETS,
)
from seamark.model.meta import ObjectKey
from seamark.testing.builders import make_pod, make_template, make_workload, owner, to_create


async def image_of(cluster: Any) -> set[str]:
    return {c.image for pod in await cluster.pods() for c in pod.spec.containers or ()}


async def test_new_template_replaces_every_pod_and_can_be_undone(cluster: Any) -> None:
    client = cluster.client
    await client.create(
        DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=4, template=make_template("v1")))
    )
    await cluster.ready_pods(4)
    first = {rs["metadata"]["name"] for rs in await client.list(REPLICASETS, namespace="default")}

    async def roll(image: str) -> None:
        template = {"spec": {"containers": [{"name": "main", "image": image}]}}
        await client.patch(DEPLOYMENTS, "web", {"spec": {"template": template}}, namespace="default")

        async def done() -> bool:
            pods = await cluster.pods()
            return len(pods) == 4 and await image_of(cluster) == {image} and all(p.is_ready for p in pods)

        await cluster.eventually(done, image)

    await roll("v2")
    await roll("v1")
    sets = {rs["metadata"]["name"]: rs for rs in await client.list(REPLICASETS, namespace="default")}
    assert len(sets) == 2
    (back,) = first
    assert sets[back]["spec"]["replicas"] == 4
    assert sets[back]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    async def shown() -> bool:
        d = await client.get(DEPLOYMENTS, "web", namespace="default")
        return d["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    await cluster.eventually(shown)


async def test_scaling_up_and_down(cluster: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=2)))
    await cluster.ready_pods(2)
    for count in (7, 1, 0, 3):
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": count}}, namespace="default")
        await cluster.ready_pods(count)
    events = await cluster.client.list(EVENTS_V1, namespace="default")
    messages = [e["message"] for e in events if e["reason"] == "ScalingReplicaSet"]
    assert any(m.startswith("Scaled up replica set web-") and m.endswith(" from 0 to 2") for m in messages)
    assert any(m.startswith("Scaled down replica set web-") and m.endswith(" from 7 to 1") for m in messages)


async def test_recreate_ends_the_old_pods_first(cluster: Any) -> None:
    client = cluster.client
    strategy = {"type": "Recreate"}
    wanted = make_workload("Deployment", "web", replicas=2, template=make_template("v1"), strategy=strategy)
    await client.create(DEPLOYMENTS, to_create(wanted))
    pods = await cluster.ready_pods(2)
    stubborn = pods[0]
    cluster.nodes[stubborn.spec.node_name].keeps.add(stubborn.metadata.name)
    template = {"spec": {"containers": [{"name": "main", "image": "v2"}]}}
    await client.patch(DEPLOYMENTS, "web", {"spec": {"template": template}}, namespace="default")

    async def one_left() -> bool:
        return [p.metadata.name for p in await cluster.pods()] == [stubborn.metadata.name]

    await cluster.eventually(one_left)
    assert await image_of(cluster) == {"v1"}
    await client.delete(PODS, stubborn.metadata.name, namespace="default", options={"gracePeriodSeconds": 0})
    await cluster.ready_pods(2)
    assert await image_of(cluster) == {"v2"}


async def test_orphan_that_fits_is_adopted_and_one_that_no_longer_fits_released(cluster: Any) -> None:
    client = cluster.client
    await client.create(PODS, to_create(make_pod("stray")))
    await client.create(REPLICASETS, to_create(make_workload("ReplicaSet", "web", replicas=2)))
    pods = await cluster.ready_pods(2)
    assert "stray" in {p.metadata.name for p in pods}
    await client.patch(PODS, "stray", {"metadata": {"labels": {"app": "quarantine"}}}, namespace="default")
    pods = await cluster.ready_pods(3)
    stray = next(p for p in pods if p.metadata.name == "stray")
    assert not stray.metadata.owner_references


async def test_refused_template_is_an_event_and_a_condition(cluster: Any) -> None:
    template = make_template(serviceAccountName="nobody")
    await cluster.client.create(
        REPLICASETS, to_create(make_workload("ReplicaSet", "web", replicas=3, template=template))
    )

    async def reported() -> bool:
        rs = await cluster.client.get(REPLICASETS, "web", namespace="default")
        return any(
            c["type"] == "ReplicaFailure" and "nobody" in c["message"] for c in rs["status"].get("conditions") or []
        )

    await cluster.eventually(reported)

    async def event() -> bool:
        events = await cluster.client.list(EVENTS_V1, namespace="default")
        return any(e["reason"] == "FailedCreate" for e in events)

    await cluster.eventually(event)


async def test_stateful_pods_start_in_order_and_keep_their_names(cluster: Any) -> None:
    client = cluster.client
    for node in cluster.nodes.values():
        node.unready.add("db-1")
    await client.create(STATEFULSETS, to_create(make_workload("StatefulSet", "db", replicas=3, serviceName="db")))

    async def waits() -> bool:
        return [(p.metadata.name, p.is_ready) for p in await cluster.pods() if p.ips] == [
            ("db-0", True),
            ("db-1", False),
        ]

    await cluster.eventually(waits)
    second = next(p for p in await cluster.pods() if p.metadata.name == "db-1")
    await cluster.nodes[second.spec.node_name].say_ready(ObjectKey("default", "db-1"), True)
    pods = {p.metadata.name: p for p in await cluster.ready_pods(3)}
    assert (pods["db-2"].spec.hostname, pods["db-2"].spec.subdomain) == ("db-2", "db")
    for node in cluster.nodes.values():
        node.unready.clear()
    await client.delete(PODS, "db-1", namespace="default")

    async def replaced() -> bool:
        found = {p.metadata.name: p for p in await cluster.pods()}
        return (
            set(found) == set(pods)
            and found["db-1"].is_ready
            and found["db-1"].metadata.uid != pods["db-1"].metadata.uid
        )

    await cluster.eventually(replaced)
    await client.patch(STATEFULSETS, "db", {"spec": {"replicas": 1}}, namespace="default")
    assert [p.metadata.name for p in await cluster.ready_pods(1)] == ["db-0"]


async def test_stateful_update_goes_from_the_top(cluster: Any) -> None:
    client = cluster.client
    wanted = make_workload("StatefulSet", "db", replicas=3, serviceName="db", template=make_template("v1"))
    await client.create(STATEFULSETS, to_create(wanted))
    await cluster.ready_pods(3)
    for node in cluster.nodes.values():
        node.unready.add("db-1")
    template = {"spec": {"containers": [{"name": "main", "image": "v2"}]}}
    await client.patch(STATEFULSETS, "db", {"spec": {"template": template}}, namespace="default")

    async def halfway() -> bool:
        pods = {p.metadata.name: p for p in await cluster.pods()}
        images = {name: (p.spec.containers or [])[0].image for name, p in pods.items()}
        return images == {"db-0": "v1", "db-1": "v2", "db-2": "v2"} and bool(pods["db-1"].ips) and pods["db-2"].is_ready

    await cluster.eventually(halfway)
    second = next(p for p in await cluster.pods() if p.metadata.name == "db-1")
    await cluster.nodes[second.spec.node_name].say_ready(second.key, True)

    async def done() -> bool:
        status = (await client.get(STATEFULSETS, "db", namespace="default"))["status"]
        return status.get("updatedReplicas") == 3 and status["currentRevision"] == status["updateRevision"]

    await cluster.eventually(done)


async def test_daemons_follow_the_nodes_and_the_template(cluster: Any) -> None:
    client = cluster.client
    await client.create(
        DAEMONSETS, to_create(make_workload("DaemonSet", "agent", replicas=None, template=make_template("v1")))
    )
    pods = await cluster.ready_pods(3)
    assert {p.spec.node_name for p in pods} == {"master1", "node1", "node2"}
    await cluster.add_node("node3")
    assert len({p.spec.node_name for p in await cluster.ready_pods(4)}) == 4
    template = {"spec": {"containers": [{"name": "main", "image": "v2"}]}}
    await client.patch(DAEMONSETS, "agent", {"spec": {"template": template}}, namespace="default")

    async def updated() -> bool:
        return await image_of(cluster) == {"v2"} and len(await cluster.pods(ready=True)) == 4

    await cluster.eventually(updated)
    await client.patch(NODES, "node3", {"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}})
    await cluster.ready_pods(3)


async def test_pod_that_fits_nowhere_waits_and_says_why(cluster: Any) -> None:
    client = cluster.client
    spec = {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "x"}]}
    await client.create(PODS, to_create(make_pod("picky", spec=spec)))

    async def reported() -> bool:
        pod = await client.get(PODS, "picky", namespace="default")
        found = {c["type"]: c for c in pod["status"].get("conditions") or []}
        return found.get("PodScheduled", {}).get("message") == (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
        )

    await cluster.eventually(reported)
    await client.patch(NODES, "node2", {"metadata": {"labels": {"disk": "ssd"}}})
    (pod,) = await cluster.ready_pods(1)
    assert pod.spec.node_name == "node2"
    events = {e["reason"] for e in await client.list(EVENTS_V1, namespace="default")}
    assert {"FailedScheduling", "Scheduled"} <= events


async def test_cordoned_node_gets_no_new_pods(cluster: Any) -> None:
    await cluster.client.patch(NODES, "node1", {"spec": {"unschedulable": True}})
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=4)))
    assert "node1" not in {p.spec.node_name for p in await cluster.ready_pods(4)}


async def test_dependents_of_a_missing_owner_are_collected(cluster: Any) -> None:
    await cluster.client.create(PODS, to_create(make_pod("lost", ownerReferences=[owner("ReplicaSet", "never")])))
    await cluster.ready_pods(0)


async def test_claims_of_a_shrunk_set_go_when_the_set_says_so(cluster: Any) -> None:
    client = cluster.client
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    wanted = make_workload(
        "StatefulSet",
        "db",
        replicas=2,
        serviceName="db",
        volumeClaimTemplates=[claim],
        persistentVolumeClaimRetentionPolicy=policy,
    )
    for name in ("one", "two"):
        spec = {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": f"/{name}"}}
        await client.create(PERSISTENTVOLUMES, {"metadata": {"name": name}, "spec": spec})
    await client.create(STATEFULSETS, to_create(wanted))
    await cluster.ready_pods(2)
    await client.patch(STATEFULSETS, "db", {"spec": {"replicas": 1}}, namespace="default")

    async def kept() -> bool:
        claims = await client.list(PERSISTENTVOLUMECLAIMS, namespace="default")
        return [c["metadata"]["name"] for c in claims] == ["data-db-0"]

    await cluster.eventually(kept)
    await client.delete(STATEFULSETS, "db", namespace="default")
    await cluster.ready_pods(0)
    assert await kept()


async def test_pod_that_waits_for_company_follows_when_it_comes(cluster: Any) -> None:
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    spec = {"affinity": affinity, "containers": [{"name": "c", "image": "x"}]}
    await cluster.client.create(PODS, to_create(make_pod("web", spec=spec)))

    async def waits() -> bool:
        (pod,) = await cluster.pods()
        condition = pod.condition("PodScheduled")
        return condition is not None and "pod affinity rules" in condition.message

    await cluster.eventually(waits)
    await cluster.client.create(PODS, to_create(make_pod("db", labels={"app": "db"})))
    assert len({p.spec.node_name for p in await cluster.ready_pods(2)}) == 1
