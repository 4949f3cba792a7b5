"""Autoscalers through the real API, in both versions; the classes that a pod may name."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.gvr import (
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    HORIZONTALPODAUTOSCALERS_V1,
    PODS,
    PRIORITYCLASSES,
    RUNTIMECLASSES,
)
from seamark.machinery.status import StatusError
from seamark.testing.builders import make_pod, make_workload, to_create

V1 = {
    "apiVersion": "autoscaling/v1",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 4,
    },
}


async def test_target_is_kept_between_its_bounds(cluster: Any) -> None:
    client = cluster.client
    await client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=1)))
    await client.create(HORIZONTALPODAUTOSCALERS_V1, V1)
    await cluster.ready_pods(2)
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 9}}, namespace="default")
    await cluster.ready_pods(4)

    async def told() -> Any:
        found = await client.get(HORIZONTALPODAUTOSCALERS, "web", namespace="default")
        reasons = [c["reason"] for c in found["status"].get("conditions") or ()]
        return found if "FailedGetResourceMetric" in reasons else None

    await cluster.clock.advance(16)
    found = await cluster.eventually(told, "no metrics")
    assert found["status"]["currentReplicas"] == 4
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    old = await client.get(HORIZONTALPODAUTOSCALERS_V1, "web", namespace="default")
    assert old["spec"]["targetCPUUtilizationPercentage"] == 80
    assert "autoscaling.alpha.kubernetes.io/conditions" in old["metadata"]["annotations"]
    assert "annotations" not in found["metadata"]


def pod(**spec: Any) -> dict[str, Any]:
    made = to_create(make_pod("p"))
    made["spec"].pop("nodeName", None)
    made["spec"] |= spec
    return made


async def test_runtime_class_adds_what_it_costs_and_where_it_runs(cluster: Any) -> None:
    client = cluster.client
    with pytest.raises(StatusError) as caught:
        await client.create(PODS, pod(runtimeClassName="sandboxed"))
    assert caught.value.message == 'pods "p" is forbidden: pod rejected: RuntimeClass "sandboxed" not found'
    toleration = {"key": "sandbox", "operator": "Exists"}
    scheduling = {"nodeSelector": {"sandbox": "yes"}, "tolerations": [toleration]}
    overhead = {"podFixed": {"cpu": "250m"}}
    await client.create(
        RUNTIMECLASSES,
        {"metadata": {"name": "sandboxed"}, "handler": "runc", "overhead": overhead, "scheduling": scheduling},
    )
    with pytest.raises(StatusError, match="conflict: runtimeClass"):
        await client.create(PODS, pod(runtimeClassName="sandboxed", nodeSelector={"sandbox": "no"}))
    with pytest.raises(StatusError, match="Pod Overhead set without corresponding RuntimeClass defined Overhead"):
        await client.create(PODS, pod(overhead={"cpu": "1"}))
    made = await client.create(PODS, pod(runtimeClassName="sandboxed"))
    assert made["spec"]["overhead"] == {"cpu": "250m"}
    assert made["spec"]["nodeSelector"] == {"sandbox": "yes"}
    assert toleration in made["spec"]["tolerations"]


async def test_default_priority_class_is_given_to_pods_without_one(cluster: Any) -> None:
    for name, value, is_default in (("usual", 7, True), ("high", 70, True), ("other", 1, False)):
        body = {"metadata": {"name": name}, "value": value, "globalDefault": is_default}
        await cluster.client.create(PRIORITYCLASSES, body)
    made = await cluster.client.create(PODS, pod())
    assert (made["spec"]["priorityClassName"], made["spec"]["priority"]) == ("usual", 7)
