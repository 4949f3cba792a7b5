"""ClusterIPs as IPAddress objects, and ServiceCIDRs as ranges, through the real API with all controllers."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.gvr import EVENTS_V1, IPADDRESSES, SERVICECIDRS, SERVICES
from seamark.machinery.status import StatusError


def service(name: str, ip: str = "", **spec: Any) -> dict[str, Any]:
    body = {"ports": [{"port": 80}], **({"clusterIP": ip} if ip else {}), **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": body}


def servicecidr(name: str, *cidrs: str) -> dict[str, Any]:
    spec = {"cidrs": list(cidrs)}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name}, "spec": spec}


def ipaddress(ip: str) -> dict[str, Any]:
    spec = {"parentRef": {"group": "gateways.example.com", "resource": "gateways", "name": "edge"}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": ip}, "spec": spec}


async def addresses(cluster: Any) -> set[str]:
    return {one["metadata"]["name"] for one in await cluster.client.list(IPADDRESSES)}


async def test_address_comes_and_goes_with_its_service(cluster: Any) -> None:
    made = await cluster.client.create(SERVICES, service("web"))
    ip = made["spec"]["clusterIP"]
    found = await cluster.client.get(IPADDRESSES, ip)
    assert found["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}
    assert found["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    external = {"spec": {"type": "ExternalName", "externalName": "a.example"}}
    await cluster.client.patch(SERVICES, "web", external, namespace="default")
    assert ip not in await addresses(cluster)
    back = await cluster.client.patch(SERVICES, "web", {"spec": {"type": "ClusterIP"}}, namespace="default")
    assert back["spec"]["clusterIP"] in await addresses(cluster)
    await cluster.client.delete(SERVICES, "web", namespace="default")
    assert back["spec"]["clusterIP"] not in await addresses(cluster)


async def test_hand_made_address_is_taken_until_it_is_deleted(cluster: Any) -> None:
    await cluster.client.create(IPADDRESSES, ipaddress("10.96.0.77"))
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(SERVICES, service("web", "10.96.0.77"))
    assert caught.value.message.endswith(
        'Invalid value: ["10.96.0.77"]: failed to allocate IP 10.96.0.77: provided IP is already allocated'
    )
    await cluster.client.delete(IPADDRESSES, "10.96.0.77")
    await cluster.client.create(SERVICES, service("web", "10.96.0.77"))


async def test_refused_service_leaves_no_address(cluster: Any) -> None:
    before = await addresses(cluster)
    await cluster.client.create(SERVICES, service("web", "10.96.0.78"))
    for name, ip in (("web", "10.96.0.79"), ("other", "10.96.0.78")):
        with pytest.raises(StatusError):
            await cluster.client.create(SERVICES, service(name, ip))
    assert await addresses(cluster) == before | {"10.96.0.78"}


async def test_deleted_address_of_a_service_is_made_again_and_told(cluster: Any) -> None:
    ip = (await cluster.client.create(SERVICES, service("web")))["spec"]["clusterIP"]
    await cluster.client.delete(IPADDRESSES, ip)

    async def mended() -> bool:
        events = await cluster.client.list(EVENTS_V1, namespace="default")
        return ip in await addresses(cluster) and any(e["reason"] == "ClusterIPNotAllocated" for e in events)

    await cluster.eventually(mended, "the address is back")


async def test_second_range_is_used_when_it_is_ready_and_goes_when_it_is_free(cluster: Any) -> None:
    client = cluster.client
    with pytest.raises(StatusError, match="the provided network does not match the current range"):
        await client.create(SERVICES, service("web", "10.200.0.9"))
    await client.create(SERVICECIDRS, servicecidr("more", "10.200.0.0/24"))

    async def ready() -> bool:
        found = await client.get(SERVICECIDRS, "more")
        return any(c["status"] == "True" for c in (found.get("status") or {}).get("conditions") or ())

    await cluster.eventually(ready, "the range is ready")
    await client.create(SERVICES, service("web", "10.200.0.9"))
    await client.delete(SERVICECIDRS, "more")

    async def waits() -> bool:
        found = await client.get(SERVICECIDRS, "more")
        return any(c["reason"] == "Terminating" for c in found["status"]["conditions"])

    await cluster.eventually(waits, "the range waits for its address")
    with pytest.raises(StatusError, match="does not match the current range"):
        await client.create(SERVICES, service("late", "10.200.0.10"))
    await client.delete(SERVICES, "web", namespace="default")
    for _ in range(3):
        await cluster.clock.advance(5)

    async def gone() -> bool:
        return "more" not in {one["metadata"]["name"] for one in await client.list(SERVICECIDRS)}

    await cluster.eventually(gone, "the range is gone")


async def test_default_range_is_there_and_protected(cluster: Any) -> None:
    async def kept() -> bool:
        found = await cluster.client.get(SERVICECIDRS, "kubernetes")
        return found["metadata"].get("finalizers") == ["networking.k8s.io/service-cidr-finalizer"]

    await cluster.eventually(kept, "the finalizer")
    found = await cluster.client.get(SERVICECIDRS, "kubernetes")
    assert found["spec"] == {"cidrs": ["10.96.0.0/12"]}
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Ready", "True")
