"""The tutorial's life of a cluster, through all controllers at once and the real API in memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

from seamark.controllers.settings import ControllerSettings
from seamark.machinery.gvr import DEPLOYMENTS, ENDPOINTS, ENDPOINTSLICES, PODS, REPLICASETS, SERVICES
from seamark.testing.builders import make_service, make_workload, to_create


async def test_deployment_gives_ready_pods_spread_over_the_nodes(cluster: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=6)))
    pods = await cluster.ready_pods(6)
    assert Counter(pod.spec.node_name for pod in pods) == {"master1": 2, "node1": 2, "node2": 2}
    (rs,) = await cluster.client.list(REPLICASETS, namespace="default")
    assert all(pod.metadata.name.startswith(rs["metadata"]["name"] + "-") for pod in pods)

    async def available() -> bool:
        d = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
        status = {c["type"]: (c["status"], c["reason"]) for c in d["status"].get("conditions", [])}
        return (
            d["status"].get("availableReplicas") == 6
            and status["Available"] == ("True", "MinimumReplicasAvailable")
            and status["Progressing"] == ("True", "NewReplicaSetAvailable")
        )

    await cluster.eventually(available)


async def test_service_follows_its_pods(cluster: Any) -> None:
    client = cluster.client
    await client.create(SERVICES, to_create(make_service("web")))
    await client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=3)))
    pods = await cluster.ready_pods(3)

    async def listed() -> set[str]:
        found = await client.get(ENDPOINTS, "web", namespace="default")
        return {a["ip"] for s in found.get("subsets") or [] for a in s.get("addresses") or []}

    async def sliced() -> set[str]:
        slices = await client.list(ENDPOINTSLICES, namespace="default")
        mine = [s for s in slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == "web"]
        return {e["addresses"][0] for s in mine for e in s.get("endpoints") or [] if e["conditions"]["ready"]}

    async def both(wanted: set[str]) -> bool:
        return await listed() == wanted and await sliced() == wanted

    await cluster.eventually(lambda: both({pod.ips[0] for pod in pods}))
    await client.delete(PODS, pods[0].metadata.name, namespace="default")
    replaced = await cluster.ready_pods(3)
    assert pods[0].metadata.name not in {pod.metadata.name for pod in replaced}
    await cluster.eventually(lambda: both({pod.ips[0] for pod in replaced}))
    await client.delete(SERVICES, "web", namespace="default")

    async def gone() -> bool:
        left = await client.list(ENDPOINTS, namespace="default") + await client.list(
            ENDPOINTSLICES, namespace="default"
        )
        return {o["metadata"]["name"] for o in left} == {"kubernetes"}

    await cluster.eventually(gone)


async def test_deleted_deployment_takes_everything_with_it(cluster: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=3)))
    await cluster.ready_pods(3)
    await cluster.client.delete(DEPLOYMENTS, "web", namespace="default", options={"propagationPolicy": "Background"})
    await cluster.ready_pods(0)
    assert await cluster.client.list(REPLICASETS, namespace="default") == []


async def test_new_cluster_has_what_kubeadm_users_expect(bare: Any) -> None:
    bare.start(ControllerSettings(api_endpoint=("10.0.0.1", 6443), ca_pem="CA"))
    for name in ("master1", "node1", "node2"):
        await bare.add_node(name)
    pods = await bare.ready_pods(2, "kube-system")
    assert len({pod.spec.node_name for pod in pods}) == 2
    dns = await bare.client.get(SERVICES, "kube-dns", namespace="kube-system")
    assert dns["spec"]["clusterIP"] == "10.96.0.10"
    kubernetes = await bare.client.get(SERVICES, "kubernetes", namespace="default")
    assert kubernetes["spec"]["clusterIP"] == "10.96.0.1"
    found = await bare.client.get(ENDPOINTS, "kubernetes", namespace="default")
    assert found["subsets"][0]["addresses"] == [{"ip": "10.0.0.1"}]
