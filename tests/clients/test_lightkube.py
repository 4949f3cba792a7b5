"""``lightkube``: typed models, server-side apply by default, a watch that starts where a list ended."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.cluster import Cluster
from lightkube import ApiError, AsyncClient, Client, KubeConfig
from lightkube.codecs import load_all_yaml
from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod, Service
from lightkube.types import CascadeType, PatchType, on_error_retry

pytestmark = [pytest.mark.net, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: two}
spec:
  replicas: 2
  selector: {matchLabels: {app: two}}
  template:
    metadata: {labels: {app: two}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: seamark.local/host, command: [sleep, infinity]}]
"""


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    config = KubeConfig.from_file(Path(cluster.kubeconfig))
    with Client(config=config, namespace="default", field_manager="tests") as made:
        yield made


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def test_create_read_patch_delete(client: Client) -> None:
    made = client.create(config_map("crud", color="red"))
    client.patch(ConfigMap, "crud", {"data": {"color": "blue"}}, patch_type=PatchType.MERGE)
    made.data = {"color": "green"}
    with pytest.raises(ApiError) as stale:
        client.replace(made)
    assert (stale.value.status.code, stale.value.status.reason) == (409, "Conflict")
    client.delete(ConfigMap, "crud")
    with pytest.raises(ApiError, match='configmaps "crud" not found'):
        client.get(ConfigMap, "crud")


def test_lists_come_in_pages(client: Client) -> None:
    for n in range(5):
        body = config_map(f"page{n}")
        body.metadata.labels = {"set": "pages"}
        client.create(body)
    found = client.list(ConfigMap, labels={"set": "pages"}, chunk_size=2)
    assert [item.metadata.name for item in found] == [f"page{n}" for n in range(5)]


def test_apply_owns_fields(client: Client) -> None:
    spec = ServiceSpec(selector={"app": "web"}, ports=[ServicePort(port=80)])
    made = client.apply(Service(metadata=ObjectMeta(name="applied"), spec=spec))
    assert made.spec.clusterIP.startswith("10.")
    other = Service(metadata=ObjectMeta(name="applied"), spec=ServiceSpec(selector={"app": "other"}))
    with pytest.raises(ApiError, match=r"conflict with .tests.*\.spec\.selector"):
        client.apply(other, field_manager="others")
    assert client.apply(other, field_manager="others", force=True).spec.selector == {"app": "other"}
    client.delete(Service, "applied")


def test_a_deployment_is_waited_for(client: Client) -> None:
    (body,) = load_all_yaml(DEPLOYMENT)
    client.create(body)
    client.wait(Deployment, "two", for_conditions=["Available"])
    scale = client.get(Deployment.Scale, "two")
    scale.spec.replicas = 1
    client.replace(scale, "two")
    assert client.get(Deployment, "two").spec.replicas == 1
    client.delete(Deployment, "two", cascade=CascadeType.FOREGROUND)


def test_logs(client: Client) -> None:
    assert next(iter(client.log("web"))) == "started\n"
    assert next(iter(client.log("web", follow=True, container="main"))) == "started\n"


async def test_exec(cluster: Cluster) -> None:
    """By the asynchronous client: the other one's WebSockets read on from threads, in whatever is opened after them."""
    config = KubeConfig.from_file(Path(cluster.kubeconfig))
    async with AsyncClient(config=config, namespace="default") as client:
        done = await client.exec("web", command=["sh", "-c", "cat /tmp/hello; exit 3"], stdout=True, stderr=True)
    assert (done.exit_code, done.stdout) == (3, "hello\n")


def test_a_watch_lives_through_a_crash_of_the_server(cluster: Cluster, client: Client) -> None:
    def labelled(name: str) -> ConfigMap:
        body = config_map(name)
        body.metadata.labels = {"watched": "yes"}
        return body

    client.create(labelled("before"))
    events = client.watch(ConfigMap, labels={"watched": "yes"}, on_error=on_error_retry)
    op, obj = next(iter(events))
    assert (op, obj.metadata.name) == ("ADDED", "before")
    cluster.crash()
    cluster.seamark("up", "--detach")
    client.create(labelled("after"))
    client.delete(ConfigMap, "before")
    seen = {(op, obj.metadata.name) for op, obj in itertools.islice(events, 2)}
    assert seen == {("ADDED", "after"), ("DELETED", "before")}
    assert client.get(Pod, "web").status.phase == "Running"
