"""ReplicationControllers, and evictions within a budget, through the real API in memory."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.gvr import DEPLOYMENTS, PODDISRUPTIONBUDGETS, PODS, PRIORITYCLASSES, REPLICATIONCONTROLLERS
from seamark.machinery.status import StatusError
from seamark.testing.builders import make_pod, make_template, make_workload, to_create


async def evict(cluster: Any, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    await cluster.client.create(PODS, body, namespace="default", name=name, subresource="eviction")


async def allowed(cluster: Any, count: int) -> None:
    async def told() -> bool:
        found = await cluster.client.get(PODDISRUPTIONBUDGETS, "pdb", namespace="default")
        status = found["status"]
        return status.get("disruptionsAllowed") == count and status.get("expectedPods") == 3

    await cluster.eventually(told, f"{count} disruptions allowed")


async def test_eviction_is_refused_when_the_budget_is_spent_and_allowed_again_with_the_new_pod(cluster: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=3)))
    pods = await cluster.ready_pods(3)
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    meta = {"name": "pdb", "namespace": "default"}
    await cluster.client.create(
        PODDISRUPTIONBUDGETS,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec},
    )
    await allowed(cluster, 1)
    first, second, _ = sorted(pod.metadata.name for pod in pods)
    cluster.nodes[next(p for p in pods if p.metadata.name == first).spec.node_name].keeps.add(first)
    await evict(cluster, first)
    with pytest.raises(StatusError) as caught:
        await evict(cluster, second)
    assert (caught.value.code, caught.value.message) == (
        429,
        "Cannot evict pod as it would violate the pod's disruption budget.",
    )
    (cause,) = caught.value.details["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"].startswith("The disruption budget pdb needs 2 healthy pods and has ")

    async def replaced() -> bool:
        found = await cluster.client.get(PODDISRUPTIONBUDGETS, "pdb", namespace="default")
        return bool(found["status"]["disruptionsAllowed"] == 1)

    await cluster.eventually(replaced, "a third healthy pod")
    await evict(cluster, second)


async def test_replicationcontroller_keeps_its_pods(cluster: Any) -> None:
    client = cluster.client
    spec = {"replicas": 2, "template": make_template()}
    meta = {"name": "old", "namespace": "default"}
    made = await client.create(
        REPLICATIONCONTROLLERS, {"apiVersion": "v1", "kind": "ReplicationController", "metadata": meta, "spec": spec}
    )
    assert made["spec"]["selector"] == {"app": "web"}
    (pod, _) = await cluster.ready_pods(2)
    assert (pod.metadata.owner_references or [])[0].kind == "ReplicationController"
    await client.delete(PODS, pod.metadata.name, namespace="default")
    await cluster.ready_pods(2)
    await client.patch(REPLICATIONCONTROLLERS, "old", {"spec": {"replicas": 0}}, namespace="default")
    await cluster.ready_pods(0)

    async def counted() -> bool:
        found = await client.get(REPLICATIONCONTROLLERS, "old", namespace="default")
        return not found["status"].get("replicas") and bool(found["status"]["observedGeneration"] == 2)

    await cluster.eventually(counted, "no replicas in the status")


async def test_priority_of_a_pod_is_that_of_its_class(cluster: Any) -> None:
    client = cluster.client
    meta = {"name": "high"}
    cls = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": 7}
    await client.create(PRIORITYCLASSES, {**cls, "preemptionPolicy": "Never"})
    made = await client.create(PODS, to_create(make_pod("a", spec={"priorityClassName": "high"})))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (7, "Never")
    with pytest.raises(StatusError) as caught:
        await client.create(PODS, to_create(make_pod("b", spec={"priorityClassName": "none"})))
    assert caught.value.message == 'pods "b" is forbidden: no PriorityClass with name none was found'

    async def made_at_start() -> bool:
        names = {found["metadata"]["name"] for found in await client.list(PRIORITYCLASSES)}
        return names == {"high", "system-cluster-critical", "system-node-critical"}

    await cluster.eventually(made_at_start, "the system's classes")
