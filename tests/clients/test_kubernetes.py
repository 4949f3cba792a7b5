"""The official Python client, ``kubernetes``: what programs written with it do all day."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import kubernetes.client
import kubernetes.config
import pytest
from conformance.cluster import Cluster
from kubernetes import dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.informer import SharedInformer
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import portforward, stream

pytestmark = [
    pytest.mark.net,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets that it leaves open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PATIENCE = 30.0


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[kubernetes.client.ApiClient]:
    kubernetes.config.load_kube_config(str(cluster.kubeconfig))  # LeaseLock knows no other
    with kubernetes.client.ApiClient() as client:
        yield client


@pytest.fixture
def core(api: kubernetes.client.ApiClient) -> kubernetes.client.CoreV1Api:
    return kubernetes.client.CoreV1Api(api)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def test_create_read_patch_delete(core: Any) -> None:
    made = core.create_namespaced_config_map("default", config_map("crud", color="red"))
    assert made.metadata.resource_version.isdigit()
    core.patch_namespaced_config_map("crud", "default", {"data": {"color": "blue"}})
    made.data = {"color": "green"}
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("crud", "default", made)
    assert (stale.value.status, stale.value.reason) == (409, "Conflict")
    core.delete_namespaced_config_map("crud", "default")
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("crud", "default")
    assert gone.value.status == 404


def test_pages_and_selectors(core: Any) -> None:
    for n in range(5):
        body = config_map(f"page{n}")
        body["metadata"]["labels"] = {"set": "pages", "odd": str(n % 2)}
        core.create_namespaced_config_map("default", body)
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map("default", label_selector="set=pages", limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"page{n}" for n in range(5)]
    odd = core.list_namespaced_config_map("default", label_selector="set=pages,odd in (1)")
    assert [item.metadata.name for item in odd.items] == ["page1", "page3"]
    core.delete_collection_namespaced_config_map("default", label_selector="set=pages")
    assert not core.list_namespaced_config_map("default", label_selector="set=pages").items


def test_apply_by_the_dynamic_client(api: Any) -> None:
    config_maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("applied", color="red")}
    config_maps.server_side_apply(body=body, namespace="default", field_manager="one")
    body["data"] = {"color": "blue"}
    with pytest.raises(dynamic.exceptions.ConflictError, match="conflict"):
        config_maps.server_side_apply(body=body, namespace="default", field_manager="two")
    forced = config_maps.server_side_apply(body=body, namespace="default", field_manager="two", force_conflicts=True)
    assert forced.data.color == "blue"
    owners = {entry.manager for entry in forced.metadata.managedFields if entry.operation == "Apply"}
    assert owners == {"two"}


def test_create_from_yaml_and_wait(api: Any) -> None:
    template = {
        "metadata": {"labels": {"app": "two"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "seamark.local/host", "command": ["sleep", "infinity"]}],
        },
    }
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "two"}}, "template": template}
    utils.create_from_dict(
        api, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "two"}, "spec": spec}
    )
    apps = kubernetes.client.AppsV1Api(api)
    deadline = time.monotonic() + PATIENCE
    while (apps.read_namespaced_deployment_status("two", "default").status.available_replicas or 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    scaled = apps.patch_namespaced_deployment_scale("two", "default", {"spec": {"replicas": 0}})
    assert scaled.spec.replicas == 0
    apps.delete_namespaced_deployment("two", "default", propagation_policy="Foreground")


def test_a_watch_ends_when_asked_to(core: Any) -> None:
    found = list(watch.Watch().stream(core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=1))
    assert [(event["type"], event["object"].metadata.name) for event in found] == [("ADDED", "web")]


def test_exec_and_logs(core: Any) -> None:
    said = stream(
        core.connect_get_namespaced_pod_exec,
        "web",
        "default",
        command=["cat", "/tmp/hello"],
        stdin=False,
        stdout=True,
        stderr=True,
        tty=False,
    )
    assert said == "hello\n"
    typed = stream(
        core.connect_get_namespaced_pod_exec,
        "web",
        "default",
        command=["sh", "-c", "read line; echo got $line; exit 3"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    typed.write_stdin("typed\n")
    typed.run_forever(timeout=10)
    assert (typed.read_stdout(), typed.returncode) == ("got typed\n", 3)
    typed.close()
    assert core.read_namespaced_pod_log("web", "default", tail_lines=50).startswith("started\n")
    followed = core.read_namespaced_pod_log("web", "default", follow=True, _preload_content=False)
    assert b"started" in next(iter(followed.stream()))
    followed.close()


def test_port_forward(core: Any) -> None:
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="80")
    connection = forwarded.socket(80)
    connection.setblocking(True)
    connection.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
    answer = b""
    while data := connection.recv(4096):
        answer += data
    connection.close()
    assert forwarded.error(80) is None
    assert answer.startswith(b"HTTP/1.0 200 OK") and answer.endswith(b"\r\n\r\nhello\n")


def test_one_leads_and_another_follows(cluster: Cluster, api: Any) -> None:
    led: queue.Queue[str] = queue.Queue()
    may_end = threading.Event()

    def candidate(name: str) -> threading.Thread:
        def lead() -> None:
            led.put(name)
            may_end.wait(PATIENCE)

        lock = LeaseLock("elected", "default", name)
        lock.api_instance = kubernetes.client.CoordinationV1Api(api)
        config = electionconfig.Config(
            lock,
            lease_duration=3,
            renew_deadline=2,
            retry_period=1,
            onstarted_leading=lead,
            onstopped_leading=lambda: None,
        )
        election = leaderelection.LeaderElection(config)

        def run() -> None:
            with suppress(Exception):  # it has no end of its own: the server goes, and it complains
                election.run()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    candidate("first")
    assert led.get(timeout=PATIENCE) == "first"
    lease = kubernetes.client.CoordinationV1Api(api).read_namespaced_lease("elected", "default")
    assert lease.spec.holder_identity == "first"
    candidate("second")
    with pytest.raises(queue.Empty):
        led.get(timeout=0.5)
    may_end.set()


def test_an_informer_lives_through_a_crash_of_the_server(cluster: Cluster, core: Any) -> None:
    seen: queue.Queue[tuple[str, str]] = queue.Queue()
    informer = SharedInformer(core.list_namespaced_config_map, namespace="default", label_selector="watched=yes")
    for event in ("ADDED", "DELETED"):
        informer.add_event_handler(event, lambda obj, event=event: seen.put((event, obj.metadata.name)))
    informer.start()
    body = config_map("before")
    body["metadata"]["labels"] = {"watched": "yes"}
    core.create_namespaced_config_map("default", body)
    assert seen.get(timeout=PATIENCE) == ("ADDED", "before")
    cluster.crash()
    cluster.seamark("up", "--detach")
    core.delete_namespaced_config_map("before", "default")
    body["metadata"]["name"] = "after"
    core.create_namespaced_config_map("default", body)
    assert {seen.get(timeout=PATIENCE) for _ in range(2)} == {("DELETED", "before"), ("ADDED", "after")}
    assert [obj.metadata.name for obj in informer.cache.list()] == ["after"]
    informer.stop()
