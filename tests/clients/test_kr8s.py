"""``kr8s``: objects that know how to wait, run commands, forward ports and be watched."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import kr8s
import pytest
from conformance.cluster import Cluster
from kr8s.asyncio.objects import ConfigMap, Deployment, Pod, Service

pytestmark = [
    pytest.mark.net,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
async def api(cluster: Cluster) -> Any:
    return await kr8s.asyncio.api(kubeconfig=str(cluster.kubeconfig))


async def test_create_read_patch_delete(api: Any) -> None:
    made = await ConfigMap({"metadata": {"name": "crud"}, "data": {"color": "red"}}, api=api)
    await made.create()
    await made.patch({"data": {"color": "blue"}})
    await made.label(tier="front")
    await made.annotate(note="x")
    found = await ConfigMap.get("crud", api=api)
    assert (found.data.color, found.labels.tier, found.annotations.note) == ("blue", "front", "x")
    await made.delete()
    await made.wait("delete", timeout=10)
    with pytest.raises(kr8s.NotFoundError):
        await ConfigMap.get("crud", api=api)


async def test_lists_by_selector(api: Any) -> None:
    for n in range(3):
        body = {"metadata": {"name": f"set{n}", "labels": {"set": str(n % 2)}}}
        await (await ConfigMap(body, api=api)).create()
    found = [item.name async for item in api.get("configmaps", label_selector={"set": "0"})]
    assert found == ["set0", "set2"]
    named = [item.name async for item in api.get("configmaps", field_selector="metadata.name=set1")]
    assert named == ["set1"]


async def test_version_and_resources(api: Any) -> None:
    assert (await api.version())["gitVersion"].startswith("v1.36")
    kinds = {resource["kind"] for resource in await api.api_resources()}
    assert {"Service", "Deployment", "EndpointSlice"} <= kinds


async def test_a_deployment_is_scaled_and_waited_for(api: Any) -> None:
    template = {
        "metadata": {"labels": {"app": "two"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "seamark.local/host", "command": ["sleep", "infinity"]}],
        },
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "two"}}, "template": template}
    deployment = await Deployment({"metadata": {"name": "two"}, "spec": spec}, api=api)
    await deployment.create()
    await deployment.wait("condition=Available", timeout=30)
    await deployment.scale(2)
    await deployment.wait("jsonpath='{.status.availableReplicas}'=2", timeout=30)
    pods = await deployment.pods()
    assert len(pods) == 2
    await deployment.delete(propagation_policy="Foreground")


async def test_exec_and_logs(api: Any) -> None:
    pod = await Pod.get("web", api=api)
    assert await pod.ready()
    done = await pod.exec(["cat", "/tmp/hello"])
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    failed = await pod.exec(["sh", "-c", "echo bad >&2; exit 4"], check=False)
    assert (failed.returncode, failed.stderr) == (4, b"bad\n")
    assert await anext(pod.logs(tail_lines=100)) == "started"


async def test_port_forward(api: Any) -> None:
    service = await Service(
        {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}, api=api
    )
    await service.create()
    pod = await Pod.get("web", api=api)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    async with pod.portforward(80, local_port=free) as port, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            assert (await client.get(f"http://127.0.0.1:{port}/hello")).text == "hello\n"
    answer = await service.proxy_http_get("hello")
    assert answer.text == "hello\n"


async def test_a_watch_is_taken_up_after_a_crash_of_the_server(cluster: Cluster, api: Any) -> None:
    async def watched() -> AsyncIterator[tuple[str, str]]:
        """As a program has to: this library ends a watch with the connection's error."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                async for event, obj in api.watch("configmaps", label_selector="watched=yes"):
                    yield event, obj.name

    before = await ConfigMap({"metadata": {"name": "before", "labels": {"watched": "yes"}}}, api=api)
    await before.create()
    events = watched()
    assert await anext(events) == ("ADDED", "before")
    cluster.crash()
    cluster.seamark("up", "--detach")
    await (await ConfigMap({"metadata": {"name": "after", "labels": {"watched": "yes"}}}, api=api)).create()
    assert {await anext(events) for _ in range(2)} == {("ADDED", "before"), ("ADDED", "after")}
    await events.aclose()
