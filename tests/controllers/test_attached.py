"""docs/replace-controllers.md: our controllers and scheduler at a real kube-apiserver, kube-controller-manager off.

Runs where SEAMARK_PEERS=1 asks for it (``make test-controllers-attached``), in real time. No kubelet is there: what one
would report is written by the test.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from conformance.kubeapi import KubeApi, running_control_plane

from seamark.client.client import Client
from seamark.machinery import gvr as g
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError

WIDGETS = GVR("example.test", "v1", "widgets", "Widget")
CLAIMS = GVR("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
PATIENCE = 60.0
pytestmark = [
    pytest.mark.skipif(not os.environ.get("SEAMARK_PEERS"), reason="make test-controllers-attached"),
    pytest.mark.timeout(120),
]
Obj = dict[str, Any]


@pytest.fixture(scope="module")
def api() -> Iterator[KubeApi]:
    with running_control_plane(ours=True) as found:
        yield found


@pytest.fixture
async def client(api: KubeApi) -> AsyncIterator[Client]:
    found = api.client()
    yield found
    await found.close()


@pytest.fixture
async def namespace(client: Client, request: pytest.FixtureRequest) -> str:
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60].strip("-")
    await client.create(g.NAMESPACES, {"metadata": {"name": name}})
    await until(lambda: exists(client, g.SERVICEACCOUNTS, "default", name))
    return name


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def exists(client: Client, gvr: GVR, name: str, namespace: str = "") -> bool:
    try:
        await client.get(gvr, name, namespace=namespace)
    except StatusError as error:
        assert error.code == 404, error
        return False
    return True


async def make_node(client: Client, name: str) -> None:
    """One that a kubelet would have reported as ready."""
    await client.create(g.NODES, {"metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2030-01-01T00:00:00Z"}
    room = {"cpu": "4", "memory": "8Gi", "pods": "100"}
    status = {"conditions": [ready], "capacity": room, "allocatable": room}
    await client.patch(g.NODES, name, {"status": status}, subresource="status")


async def run_pods(client: Client, namespace: str) -> None:
    """Says of each pod that has a node what its kubelet would."""
    for number, pod in enumerate(await client.list(g.PODS, namespace=namespace)):
        if pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
            address = f"10.244.1.{number + 2}"
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
            name = pod["metadata"]["name"]
            await client.patch(g.PODS, name, {"status": status}, namespace=namespace, subresource="status")


def workload(name: str, **spec: Any) -> Obj:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none.test/none"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template, **spec}}


async def test_a_deployment_is_served(client: Client, namespace: str) -> None:
    """Deployment, ReplicaSet, scheduler, EndpointSlice and Endpoints, then the garbage collector."""
    await make_node(client, "served")
    await client.create(g.DEPLOYMENTS, workload("web", replicas=3), namespace=namespace)
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    await client.create(g.SERVICES, service, namespace=namespace)

    async def is_available() -> bool:
        await run_pods(client, namespace)
        found = await client.get(g.DEPLOYMENTS, "web", namespace=namespace)
        return bool(found.get("status", {}).get("availableReplicas") == 3)

    await until(is_available)
    wanted = {pod["status"]["podIP"] for pod in await client.list(g.PODS, namespace=namespace)}
    assert len(wanted) == 3

    async def has_endpoints() -> bool:
        slices = await client.list(g.ENDPOINTSLICES, namespace=namespace)
        told = {address for one in slices for end in one["endpoints"] or [] for address in end["addresses"]}
        endpoints = await client.get(g.ENDPOINTS, "web", namespace=namespace)
        listed = {end["ip"] for subset in endpoints.get("subsets") or [] for end in subset.get("addresses") or []}
        return told == listed == wanted

    await until(has_endpoints)
    await client.delete(g.DEPLOYMENTS, "web", namespace=namespace, options={"propagationPolicy": "Background"})

    async def is_collected() -> bool:
        left = [*await client.list(g.REPLICASETS, namespace=namespace), *await client.list(g.PODS, namespace=namespace)]
        for pod in left:  # the kubelet's part: a pod that is ending ends
            if pod["metadata"].get("deletionTimestamp") and pod.get("spec", {}).get("nodeName"):
                options = {"gracePeriodSeconds": 0}
                await client.delete(g.PODS, pod["metadata"]["name"], namespace=namespace, options=options)
        return not left

    await until(is_collected)


async def test_sets_and_jobs(client: Client, namespace: str) -> None:
    await make_node(client, "sets")
    await client.create(g.STATEFULSETS, workload("db", replicas=2, serviceName="db"), namespace=namespace)
    await client.create(g.DAEMONSETS, workload("agent"), namespace=namespace)
    job: Obj = workload("once")
    del job["spec"]["selector"]
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    await client.create(g.JOBS, job, namespace=namespace)

    async def has_all() -> bool:
        await run_pods(client, namespace)
        database = (await client.get(g.STATEFULSETS, "db", namespace=namespace)).get("status", {})
        agent = (await client.get(g.DAEMONSETS, "agent", namespace=namespace)).get("status", {})
        once = (await client.get(g.JOBS, "once", namespace=namespace)).get("status", {})
        enough = agent.get("numberReady", 0) >= 1 and agent["numberReady"] == agent["desiredNumberScheduled"]
        return bool(database.get("readyReplicas") == 2 and enough and once.get("active") == 1)

    await until(has_all)
    (pod,) = await client.list(g.PODS, namespace=namespace, query={"labelSelector": "app=once"})
    done = {"status": {"phase": "Succeeded"}}
    await client.patch(g.PODS, pod["metadata"]["name"], done, namespace=namespace, subresource="status")

    async def is_complete() -> bool:
        found = await client.get(g.JOBS, "once", namespace=namespace)
        conditions = found["status"].get("conditions") or []
        return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)

    await until(is_complete)


async def test_a_namespace_ends_with_kinds_that_are_not_seamarks(client: Client, namespace: str) -> None:
    """Those of the API server's that we do not serve, and custom ones; definitions are its own business."""
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": WIDGETS.group, "scope": "Namespaced", "names": names, "versions": [version]}
    await client.create(g.CUSTOMRESOURCEDEFINITIONS, {"metadata": {"name": "widgets.example.test"}, "spec": spec})

    async def has_widget() -> bool:
        try:
            await client.create(WIDGETS, {**kind_of(WIDGETS), "metadata": {"name": "one"}}, namespace=namespace)
        except StatusError as error:
            assert error.code == 404, error
            return False
        return True

    await until(has_widget)
    widget = await client.get(WIDGETS, "one", namespace=namespace)
    owner = {**kind_of(WIDGETS), "name": "one", "uid": widget["metadata"]["uid"]}
    await client.create(g.CONFIGMAPS, {"metadata": {"name": "owned", "ownerReferences": [owner]}}, namespace=namespace)
    await client.create(CLAIMS, {"metadata": {"name": "claim"}, "spec": {}}, namespace=namespace)
    await client.delete(WIDGETS, "one", namespace=namespace)
    await until(lambda: is_gone(client, g.CONFIGMAPS, "owned", namespace))
    await client.delete(g.NAMESPACES, namespace)
    await until(lambda: is_gone(client, g.NAMESPACES, namespace))
    await client.create(g.NAMESPACES, {"metadata": {"name": namespace}})
    assert await client.list(CLAIMS, namespace=namespace) == [], "nothing of the first one is left"


def kind_of(gvr: GVR) -> Obj:
    return {"apiVersion": f"{gvr.group}/{gvr.version}", "kind": gvr.kind}


async def is_gone(client: Client, gvr: GVR, name: str, namespace: str = "") -> bool:
    return not await exists(client, gvr, name, namespace)


async def test_they_go_on_when_the_api_server_was_away(api: KubeApi, client: Client, namespace: str) -> None:
    await make_node(client, "away")
    await asyncio.to_thread(api.stop)
    await asyncio.to_thread(api.start)
    again = api.client()
    try:
        await again.create(g.DEPLOYMENTS, workload("late", replicas=2), namespace=namespace)

        async def are_placed() -> bool:
            pods = await again.list(g.PODS, namespace=namespace)
            return len(pods) == 2 and all(pod["spec"].get("nodeName") for pod in pods)

        await until(are_placed)
    finally:
        await again.close()


async def test_the_api_server_keeps_its_own(api: KubeApi, client: Client) -> None:
    """What stands for an API server's loops in ``seamark up`` is left alone."""
    service = await client.get(g.SERVICES, "kubernetes", namespace="default")
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    assert not await exists(client, g.DEPLOYMENTS, "coredns", "kube-system")
    for log in ("controllers.log", "scheduler.log"):
        text = (api.root / log).read_text()
        assert "Traceback" not in text
        assert "cannot" not in text, "a right is missing"
