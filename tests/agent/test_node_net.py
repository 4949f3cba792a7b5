"""The agent with the real runtime: pods that really run, in a network namespace made for the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from seamark.agent.config import AgentConfig
from seamark.agent.images.store import ImageStore
from seamark.agent.node import NodeAgent
from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.linux import netns
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.machinery.gvr import (
    CONFIGMAPS,
    NAMESPACES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    SERVICES,
)
from seamark.machinery.status import StatusError
from seamark.machinery.streams import ExecRequest, LogRequest, TerminalSize
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed"),
]
Obj = dict[str, Any]
SERVER = "python3 -m http.server 8080 --directory /srv"


class Cluster:
    def __init__(self, client: Client, directory: Path, pin: Path) -> None:
        self.client = client
        self.directory = directory
        self.pin = pin
        self.agent, self.runtime = self._make()
        self.task = asyncio.create_task(self.agent.run())

    def _make(self) -> tuple[NodeAgent, PodRuntime]:
        clock = SystemClock()
        runtime = PodRuntime(state_dir=self.directory, node_namespace=self.pin, clock=clock)
        config = AgentConfig(
            node="node1",
            node_ip="192.0.2.1",
            pod_cidr="10.244.7.0/24",
            state_dir=self.directory,
            cluster_dns=("10.96.0.10",),
            netns=self.pin,
        )
        images = ImageStore(self.directory.parent.parent / "images", clock=clock)
        agent = NodeAgent(config, client=self.client, runtime=runtime, images=images, clock=clock, rng=Random(1))
        return agent, runtime

    async def restart(self) -> None:
        """As after kill -9: nothing is stopped in order."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.runtime.close()
        self.agent, self.runtime = self._make()
        self.task = asyncio.create_task(self.agent.run())

    async def create(self, name: str, *command: str, container: Obj | None = None, **spec: Any) -> Obj:
        main = {"name": "main", "image": "seamark.local/host", "command": list(command), **(container or {})}
        main["imagePullPolicy"] = "IfNotPresent"
        body = {"containers": [main], "nodeName": "node1", "automountServiceAccountToken": False, **spec}
        return await self.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": body})

    async def until(self, name: str, check: Any) -> Obj:
        pod: Obj = {}
        for _ in range(600):
            pod = await self.client.get(PODS, name, namespace="default")
            if check(pod):
                return pod
            await asyncio.sleep(0.02)
        raise AssertionError(f"never came true: {pod.get('status')}")

    async def until_gone(self, name: str) -> None:
        for _ in range(600):
            try:
                await self.client.get(PODS, name, namespace="default")
            except StatusError:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("still there")

    async def sh(self, name: str, script: str) -> str:
        io = _IO()
        code = await self.agent.exec(ExecRequest("default", name, "main", ("sh", "-c", script)), io)
        assert code == 0, io.text
        return io.text


class _IO:
    def __init__(self) -> None:
        self.text = ""

    async def read_stdin(self) -> bytes:
        return b""

    async def write_stdout(self, data: bytes) -> None:
        self.text += data.decode()

    async def write_stderr(self, data: bytes) -> None:
        self.text += data.decode()

    async def next_resize(self) -> TerminalSize:
        await asyncio.Event().wait()
        raise AssertionError


def ready(pod: Obj) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture
def pin(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "run" / "node1"
    netns.create(made)
    try:
        subprocess.run(netns.command(made, "ip", "address", "add", "192.0.2.1/32", "dev", "lo"), check=True)
        yield made
    finally:
        netns.remove(made)


@pytest.fixture
async def cluster(tmp_path: Path, pin: Path) -> AsyncIterator[Cluster]:
    clock = SystemClock()
    store = MemoryStore(now=clock.time)
    api = Api(store=store, registry=build_registry(), clock=clock)
    await api.start()
    client = Client(InProcessTransport(api.handle), identity=Identity("admin", (ADMIN_GROUP,)))
    for name in ("default", "kube-node-lease"):
        await client.create(NAMESPACES, {"metadata": {"name": name}})
    directory = tmp_path / "nodes" / "node1"
    directory.mkdir(parents=True)
    try:
        made = Cluster(client, directory, pin)
        yield made
        await made.agent.shutdown(stop_pods=True)
        await asyncio.gather(made.task, return_exceptions=True)
        await made.runtime.close()
        assert list((directory / "pods").glob("*/sandbox")) == []
    finally:
        await remove_all(directory, pin)
        await store.close()


async def test_created_runs_answers_is_deleted(cluster: Cluster) -> None:
    service = {"metadata": {"name": "early", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}
    await cluster.client.create(SERVICES, service)
    probe = {"readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 10}}
    began = time.monotonic()
    await cluster.create("web", "sh", "-c", f"echo hello; exec {SERVER}", container=probe)
    running = await cluster.until("web", lambda p: p["status"].get("phase") == "Running")
    took = time.monotonic() - began
    assert running["status"]["podIP"] == "10.244.7.2"
    assert took < 5, took
    await cluster.until("web", ready)
    assert await cluster.sh("web", "hostname; printenv HOSTNAME EARLY_SERVICE_PORT") == "web\nweb\n80\n"
    assert "nameserver 10.96.0.10" in await cluster.sh("web", "cat /etc/resolv.conf")
    assert "10.244.7.2\tweb" in await cluster.sh("web", "cat /etc/hosts")
    log = b"".join([c async for c in cluster.agent.logs(LogRequest("default", "web", "main"))])
    assert log.startswith(b"hello\n")
    await cluster.client.delete(PODS, "web", namespace="default", options={"gracePeriodSeconds": 1})
    await cluster.until_gone("web")
    assert not (cluster.directory / "pods" / running["metadata"]["uid"]).exists()


async def test_adopted_after_a_crash_of_the_agent(cluster: Cluster) -> None:
    await cluster.create("web", "sleep", "1000")
    before = await cluster.until("web", lambda p: ready(p) and p["status"]["containerStatuses"][0]["imageID"])
    await cluster.sh("web", "echo kept > /tmp/mark")
    await cluster.restart()
    for _ in range(200):
        if cluster.agent._workers:
            break
        await asyncio.sleep(0.02)
    assert await cluster.sh("web", "cat /tmp/mark") == "kept\n"
    after = await cluster.until("web", ready)
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


async def test_volume_follows_its_config_map(cluster: Cluster) -> None:
    body = {"metadata": {"name": "conf", "namespace": "default"}, "data": {"f": "one"}}
    await cluster.client.create(CONFIGMAPS, body)
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/etc/conf"}, {"name": "scratch", "mountPath": "/scratch"}]}
    volumes = [{"name": "v", "configMap": {"name": "conf"}}, {"name": "scratch", "emptyDir": {}}]
    await cluster.create("web", "sleep", "1000", container=mounts, volumes=volumes)
    await cluster.until("web", ready)
    assert await cluster.sh("web", "cat /etc/conf/f; echo x > /scratch/x; cat /scratch/x") == "onex\n"
    await cluster.client.patch(CONFIGMAPS, "conf", {"data": {"f": "two"}}, namespace="default")
    for _ in range(50):
        if await cluster.sh("web", "cat /etc/conf/f") == "two":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the file did not change within a second")


async def test_claims_are_mounted_where_their_volumes_are(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    sources = {"kept": {"hostPath": {"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"}}}
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}}
    sources["local"] = {"local": {"path": str(tmp_path / "local")}, "nodeAffinity": affinity}
    for name, source in sources.items():
        await bind(cluster.client, name, source)
    mounts = [{"name": name, "mountPath": f"/mnt/{name}"} for name in sources]
    claimed: dict[str, Obj] = {"kept": {}, "local": {"readOnly": True}}
    volumes = [{"name": n, "persistentVolumeClaim": {"claimName": n, **more}} for n, more in claimed.items()]
    await cluster.create("web", "sleep", "1000", container={"volumeMounts": mounts}, volumes=volumes)
    await cluster.until("web", ready)
    (tmp_path / "local" / "f").write_text("there")
    script = "cat /mnt/local/f; touch /mnt/local/x 2> /dev/null || echo ' read-only'; echo kept > /mnt/kept/f"
    assert await cluster.sh("web", script) == "there read-only\n"
    assert (tmp_path / "made" / "f").read_text() == "kept\n"


async def bind(client: Client, name: str, source: Obj) -> None:
    """A claim and its volume as the binder leaves them."""
    size = {"storage": "1Gi"}
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    spec: Obj = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name}
    meta = {"name": name, "namespace": "default", "annotations": done}
    claim = {"metadata": meta, "spec": {**spec, "resources": {"requests": size}}}
    made = await client.create(PERSISTENTVOLUMECLAIMS, claim)
    ref = {"namespace": "default", "name": name, "uid": made["metadata"]["uid"]}
    volume = {"capacity": size, "accessModes": ["ReadWriteOnce"], "claimRef": ref, **source}
    await client.create(PERSISTENTVOLUMES, {"metadata": {"name": name}, "spec": volume})


async def test_exit_message_and_restart(cluster: Cluster) -> None:
    script = "echo bad news > /dev/termination-log; exit 3"
    await cluster.create("once", "sh", "-c", script, restartPolicy="Never")
    pod = await cluster.until("once", lambda p: p["status"].get("phase") == "Failed")
    (status,) = pod["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "bad news\n")
    await cluster.create("crash", "sh", "-c", "exit 1")
    pod = await cluster.until(
        "crash",
        lambda p: (
            p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("reason")
            == "CrashLoopBackOff"
        ),
    )
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
