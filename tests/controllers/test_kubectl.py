"""Deployments, Services and pods as a person sees them with kubectl; nodes are hollow, everything else is real."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.server import serve_api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.controllers.settings import ControllerSettings
from seamark.linux.clock import SystemClock
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore

pytestmark = pytest.mark.kubectl

ADMIN = Identity("admin", (ADMIN_GROUP,))
TOOLS = Path(__file__).parent.parent.parent / ".tools"
Kubectl = Callable[..., Awaitable[str]]


def binary() -> str | None:
    found = [os.environ.get("KUBECTL", ""), *map(str, sorted(TOOLS.glob("kubectl-*/kubectl"), reverse=True))]
    return next((f for f in found if f and Path(f).exists()), None) or shutil.which("kubectl")


@pytest.fixture
async def kubectl(tmp_path: Path, make_cluster: Any) -> AsyncIterator[Kubectl]:
    """``await kubectl("get", "pods")`` gives what it prints, and fails with what it complains of."""
    program = binary()
    if program is None:
        pytest.skip("no kubectl: set KUBECTL")
    clock = SystemClock()
    store = MemoryStore()
    api = Api(store=store, registry=build_registry(), clock=clock)
    await api.start()

    async def anybody(credentials: object) -> Identity:
        return ADMIN

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    server = await serve_api(api, sockets=[listener], tls=None, authenticate=anybody)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    cluster = make_cluster(api, Client(InProcessTransport(api.handle), identity=ADMIN), clock)
    cluster.start(ControllerSettings(api_endpoint=("10.0.0.1", 6443), ca_pem="CA"))
    for name in ("master1", "node1", "node2"):
        await cluster.add_node(name)

    async def run(*args: str) -> str:
        pipe = asyncio.subprocess.PIPE
        environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            program, "--server", address, *args, stdout=pipe, stderr=pipe, env=environment
        )
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"kubectl {' '.join(args)}: {out.decode()}{err.decode()}"
        return out.decode()

    yield run
    await cluster.stop()
    await server.close()
    await store.close()


async def test_rollout_and_its_undoing(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=v1", "--replicas=3")
    said = await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert said.endswith('deployment "web" successfully rolled out\n')
    assert (await kubectl("get", "deployment", "web", "--no-headers")).split()[1:4] == ["3/3", "3", "3"]
    await kubectl("set", "image", "deployment/web", "v1=v2")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert [line.split()[0] for line in (await kubectl("rollout", "history", "deployment/web")).splitlines()[2:4]] == [
        "1",
        "2",
    ]
    assert "rolled back" in await kubectl("rollout", "undo", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    images = await kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}")
    assert images.split() == ["v1"] * 3
    described = await kubectl("describe", "deployment", "web")
    assert "NewReplicaSetAvailable" in described
    assert "Scaled up replica set web-" in described
    await kubectl("rollout", "restart", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    await kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=20s")
    assert await kubectl("get", "pods,rs", "-o", "name") == ""


async def test_service_shows_its_pods(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=v1", "--replicas=5", "--port=80")
    await kubectl("expose", "deployment", "web")
    await kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    endpoints = (await kubectl("get", "endpoints", "web", "--no-headers")).split(None, 1)[1]
    assert endpoints.count(":80,") + endpoints.count(":80 ") == 3
    assert "+ 2 more..." in endpoints
    await kubectl("create", "service", "clusterip", "headless", "--clusterip=None")
    described = await kubectl("describe", "endpoints", "web")
    assert "NotReadyAddresses:  <none>" in described
    assert "endpoints.kubernetes.io/last-change-trigger-time" in described


async def test_kube_system_is_what_kubeadm_users_know(kubectl: Kubectl) -> None:
    await kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=20s")
    service = await kubectl("-n", "kube-system", "describe", "service", "kube-dns")
    for port in ("dns  53/UDP", "dns-tcp  53/TCP", "metrics  9153/TCP"):
        assert port in service
    assert service.count(":53,") == 2
    assert (await kubectl("-n", "kube-system", "get", "configmap", "coredns", "--no-headers")).split()[1] == "1"
    await kubectl("-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-dns", "--timeout=20s")
    await kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=20s")


async def test_statefulset_daemonset_and_namespace(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "sets.yaml"
    manifest.write_text(
        """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: x}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: x}]}
"""
    )
    await kubectl("apply", "-f", str(manifest))
    await kubectl("-n", "shop", "rollout", "status", "statefulset/db", "--timeout=20s")
    await kubectl("-n", "shop", "rollout", "status", "daemonset/agent", "--timeout=20s")
    names = await kubectl("-n", "shop", "get", "pods", "-l", "app=db", "-o", "name")
    assert names.split() == ["pod/db-0", "pod/db-1", "pod/db-2"]
    assert (await kubectl("-n", "shop", "get", "statefulset", "db", "--no-headers")).split()[1] == "3/3"
    assert (await kubectl("-n", "shop", "get", "daemonset", "agent", "--no-headers")).split()[1:6] == ["3"] * 5
    await kubectl("-n", "shop", "rollout", "history", "statefulset/db")
    await kubectl("delete", "namespace", "shop", "--timeout=20s")
