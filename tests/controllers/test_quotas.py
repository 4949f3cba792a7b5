"""LimitRanges and ResourceQuotas through the real API in memory."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.gvr import (
    CONFIGMAPS,
    LIMITRANGES,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    PRIORITYCLASSES,
    RESOURCEQUOTAS,
    SERVICES,
)
from seamark.machinery.status import StatusError
from seamark.testing.builders import make_pod, to_create

ANNOTATION = "kubernetes.io/limit-ranger"


def pod(name: str, **resources: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "seamark.local/host", "resources": resources}
    return to_create(make_pod(name, spec={"containers": [container]}))


async def create_quota(cluster: Any, hard: dict[str, str], **spec: Any) -> None:
    meta = {"name": "q", "namespace": "default"}
    obj = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard, **spec}}
    await cluster.client.create(RESOURCEQUOTAS, obj)


async def used(cluster: Any, **wanted: str) -> None:
    async def told() -> bool:
        found = await cluster.client.get(RESOURCEQUOTAS, "q", namespace="default")
        return bool(found["status"].get("used") == wanted)

    await cluster.eventually(told, f"used: {wanted}")


async def test_limit_range_gives_defaults_and_refuses_what_is_out_of_bounds(cluster: Any) -> None:
    item = {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}, "default": {"cpu": "500m"}}
    meta = {"name": "lr", "namespace": "default"}
    obj = {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": [item]}}
    await cluster.client.create(LIMITRANGES, obj)
    made = await cluster.client.create(PODS, pod("a"))
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
    told = "LimitRanger plugin set: cpu request for container main; cpu limit for container main"
    assert made["metadata"]["annotations"][ANNOTATION] == told
    assert made["status"]["qosClass"] == "Burstable"
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(PODS, pod("b", limits={"cpu": "2"}, requests={"cpu": "50m"}))
    assert (caught.value.code, caught.value.message) == (
        403,
        'pods "b" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, '
        "maximum cpu usage per Container is 1, but limit is 2]",
    )


async def test_quota_is_charged_refuses_and_is_given_back(cluster: Any) -> None:
    await create_quota(cluster, {"pods": "2", "requests.cpu": "1"})
    await used(cluster, pods="0", **{"requests.cpu": "0"})
    await cluster.client.create(PODS, pod("a", requests={"cpu": "600m"}))
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(PODS, pod("b", requests={"cpu": "500m"}))
    assert (caught.value.code, caught.value.message) == (
        403,
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, '
        "limited: requests.cpu=1",
    )
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(PODS, pod("c"))
    assert caught.value.message == 'pods "c" is forbidden: failed quota: q: must specify requests.cpu for: main'
    await used(cluster, pods="1", **{"requests.cpu": "600m"})
    await cluster.client.delete(PODS, "a", namespace="default")
    await used(cluster, pods="0", **{"requests.cpu": "0"})


async def test_quota_counts_objects(cluster: Any) -> None:
    await create_quota(cluster, {"count/configmaps": "2"})
    await used(cluster, **{"count/configmaps": "1"})  # kube-root-ca.crt
    meta = {"name": "a", "namespace": "default"}
    await cluster.client.create(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(CONFIGMAPS, {"metadata": {"name": "b", "namespace": "default"}})
    assert caught.value.message == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, '
        "limited: count/configmaps=2"
    )


async def test_quota_is_charged_for_what_an_update_takes_more(cluster: Any) -> None:
    client = cluster.client
    storage = {"requests.storage": "3Gi", "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1"}
    await create_quota(cluster, {"services.nodeports": "1", "services.loadbalancers": "1", **storage})
    gold = "gold.storageclass.storage.k8s.io/persistentvolumeclaims"
    nothing = {"services.nodeports": "0", "services.loadbalancers": "0", "requests.storage": "0"}
    await used(cluster, **nothing, **{gold: "0"})
    meta = {"name": "web", "namespace": "default"}
    await client.create(SERVICES, {"metadata": meta, "spec": {"ports": [{"port": 80}]}})
    await client.patch(SERVICES, "web", {"spec": {"type": "NodePort"}}, namespace="default")
    await used(cluster, **{**nothing, "services.nodeports": "1"}, **{gold: "0"})
    with pytest.raises(StatusError) as caught:
        two = {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}}
        await client.patch(SERVICES, "web", two, namespace="default")
    assert caught.value.message == (
        'services "web" is forbidden: exceeded quota: q, requested: services.nodeports=1, '
        "used: services.nodeports=1, limited: services.nodeports=1"
    )
    await client.patch(SERVICES, "web", {"spec": {"type": "ClusterIP"}}, namespace="default")
    await used(cluster, **nothing, **{gold: "0"})
    size = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": size, "storageClassName": "gold"}
    await client.create(PERSISTENTVOLUMECLAIMS, {"metadata": {"name": "data", "namespace": "default"}, "spec": spec})
    await used(cluster, **{**nothing, "requests.storage": "1Gi"}, **{gold: "1"})
    with pytest.raises(StatusError, match="exceeded quota: q, requested: gold"):
        await client.create(PERSISTENTVOLUMECLAIMS, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec})


async def test_quota_of_a_priority_class_counts_its_pods_alone(cluster: Any) -> None:
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    await cluster.client.create(PRIORITYCLASSES, {"metadata": {"name": "high"}, "value": 5})
    await create_quota(cluster, {"pods": "1"}, scopeSelector=selector)
    await used(cluster, pods="0")
    await cluster.client.create(PODS, pod("usual"))
    high = pod("high")
    high["spec"]["priorityClassName"] = "high"
    await cluster.client.create(PODS, high)
    await used(cluster, pods="1")
    high["metadata"]["name"] = "higher"
    with pytest.raises(StatusError, match="exceeded quota: q, requested: pods=1"):
        await cluster.client.create(PODS, high)
