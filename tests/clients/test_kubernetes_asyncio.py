"""``kubernetes-asyncio``: the official client's younger sister."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.cluster import Cluster
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio import config, watch
from kubernetes_asyncio.client.rest import ApiException
from kubernetes_asyncio.leaderelection.electionconfig import Config
from kubernetes_asyncio.leaderelection.leaderelection import LeaderElection
from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes_asyncio.stream import WsApiClient

pytestmark = [pytest.mark.net, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PATIENCE = 30.0


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[k8s.ApiClient]:
    async with await config.new_client_from_config(str(cluster.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(api: k8s.ApiClient) -> k8s.CoreV1Api:
    return k8s.CoreV1Api(api)


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"color": "red"}}


async def test_create_read_patch_delete(core: Any) -> None:
    made = await core.create_namespaced_config_map("default", config_map("crud"))
    await core.patch_namespaced_config_map("crud", "default", {"data": {"color": "blue"}})
    with pytest.raises(ApiException) as stale:
        await core.replace_namespaced_config_map("crud", "default", made)
    assert stale.value.status == 409
    await core.delete_namespaced_config_map("crud", "default")
    with pytest.raises(ApiException) as gone:
        await core.read_namespaced_config_map("crud", "default")
    assert gone.value.status == 404


async def test_server_side_apply(core: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("applied")}
    apply = {"_content_type": "application/apply-patch+yaml"}
    await core.patch_namespaced_config_map("applied", "default", body, field_manager="one", **apply)
    body["data"] = {"color": "blue"}
    with pytest.raises(ApiException) as conflict:
        await core.patch_namespaced_config_map("applied", "default", body, field_manager="two", **apply)
    assert conflict.value.status == 409
    forced = await core.patch_namespaced_config_map(
        "applied", "default", body, field_manager="two", force=True, **apply
    )
    assert forced.data == {"color": "blue"}


async def test_exec_and_logs(cluster: Cluster, core: Any) -> None:
    settings = k8s.Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    async with WsApiClient(configuration=settings) as sockets:
        said = await k8s.CoreV1Api(sockets).connect_get_namespaced_pod_exec(
            "web", "default", command=["cat", "/tmp/hello"], stdin=False, stdout=True, stderr=True, tty=False
        )
    assert said == "hello\n"
    assert (await core.read_namespaced_pod_log("web", "default")).startswith("started\n")


async def test_a_leader_is_elected(api: Any) -> None:
    led = asyncio.Event()

    async def lead() -> None:
        led.set()

    async def ended() -> None:
        pass

    lock = LeaseLock("elected", "default", "me", api)
    settings = Config(
        lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=ended
    )
    running = asyncio.create_task(LeaderElection(settings).run())
    async with asyncio.timeout(PATIENCE):
        await led.wait()
    lease = await k8s.CoordinationV1Api(api).read_namespaced_lease("elected", "default")
    assert lease.spec.holder_identity == "me"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_watch_is_taken_up_after_a_crash_of_the_server(cluster: Cluster, core: Any) -> None:
    """As an informer does it: list, watch from there; on an error from where it was."""
    await core.create_namespaced_config_map("default", config_map("before", watched="yes"))
    listed = await core.list_namespaced_config_map("default", label_selector="watched=yes")
    assert [item.metadata.name for item in listed.items] == ["before"]
    version = listed.metadata.resource_version
    cluster.crash()
    cluster.seamark("up", "--detach")
    await core.delete_namespaced_config_map("before", "default")
    await core.create_namespaced_config_map("default", config_map("after", watched="yes"))
    stream = watch.Watch().stream(
        core.list_namespaced_config_map,
        "default",
        label_selector="watched=yes",
        resource_version=version,
        timeout_seconds=2,
    )
    seen = [(event["type"], event["object"].metadata.name) async for event in stream]
    assert seen == [("DELETED", "before"), ("ADDED", "after")]
