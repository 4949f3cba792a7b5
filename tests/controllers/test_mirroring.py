"""Services whose endpoints are made by hand, and Services that stop having any, through the real API in memory."""

from __future__ import annotations

from typing import Any

from seamark.machinery.gvr import DEPLOYMENTS, ENDPOINTS, ENDPOINTSLICES, SERVICES
from seamark.testing.builders import make_service, make_workload, to_create


async def addresses(cluster: Any, name: str) -> list[str]:
    found = await cluster.client.list(
        ENDPOINTSLICES, namespace="default", query={"labelSelector": f"kubernetes.io/service-name={name}"}
    )
    return sorted(ip for one in found for e in one.get("endpoints") or () for ip in e["addresses"])


async def test_hand_made_endpoints_are_mirrored_and_follow_their_changes(cluster: Any) -> None:
    client = cluster.client
    await client.create(SERVICES, to_create(make_service("db", selector={})))
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "http", "port": 80}]}]
    meta = {"name": "db", "namespace": "default"}
    await client.create(ENDPOINTS, {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets})

    async def shown(*wanted: str) -> None:
        async def same() -> bool:
            return await addresses(cluster, "db") == list(wanted)

        await cluster.eventually(same, str(wanted))

    await shown("192.0.2.1")
    subsets[0]["addresses"] = [{"ip": "192.0.2.1"}, {"ip": "192.0.2.7"}]
    await client.patch(ENDPOINTS, "db", {"subsets": subsets}, namespace="default")
    await shown("192.0.2.1", "192.0.2.7")
    await client.delete(ENDPOINTS, "db", namespace="default")

    async def no_slices() -> bool:
        query = {"labelSelector": "kubernetes.io/service-name=db"}
        return not await client.list(ENDPOINTSLICES, namespace="default", query=query)

    await cluster.eventually(no_slices, "no slices")


async def test_service_that_becomes_an_external_name_loses_its_endpoints(cluster: Any) -> None:
    client = cluster.client
    await client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=1)))
    await client.create(SERVICES, to_create(make_service("web")))
    (pod,) = await cluster.ready_pods(1)

    async def there() -> bool:
        return await addresses(cluster, "web") == list(pod.ips)

    await cluster.eventually(there, "the pod's address")
    patch = {"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": "", "clusterIPs": None}}
    await client.patch(SERVICES, "web", patch, namespace="default")

    async def gone() -> bool:
        names = {one["metadata"]["name"] for one in await client.list(ENDPOINTS, namespace="default")}
        return "web" not in names and not await addresses(cluster, "web")

    await cluster.eventually(gone, "no endpoints")
