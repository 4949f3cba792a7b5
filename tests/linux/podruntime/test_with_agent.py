"""The node agent over the real runtime: from a Pod object to a process, and back into its status."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import seamark
from seamark.agent.config import AgentConfig
from seamark.agent.images import ImageStore
from seamark.agent.node import NodeAgent
from seamark.client.client import Client as ApiClient
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime
from seamark.machinery.gvr import CONFIGMAPS, PODS
from seamark.machinery.streams import ExecRequest, LogRequest
from seamark.machinery.wire import Identity

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Client, Node

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PREFIX = Path(os.path.realpath(sys.prefix))
SCRIPT = "echo from $HOSTNAME; cat /etc/config/greeting; trap 'exit 0' TERM; while :; do sleep 0.05; done"


def pod(name: str, *, command: list[str], **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "seamark.local/host",
        "command": command,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}],
    }
    body = {
        "nodeName": "node1",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "settings"}}],
    }
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {**body, **spec}}


async def until(client: ApiClient, name: str, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(1000):
        found = await client.get(PODS, name, namespace="default")
        if check(found.get("status", {})):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"never came true; last seen: {found.get('status')}")


@pytest.fixture
async def agent(node: Node, client_for: Callable[[Identity], ApiClient]) -> NodeAgent:
    hosts = node.directory / "hosts"
    hosts.write_text("127.0.0.1\tlocalhost\n")
    config = AgentConfig(
        node="node1",
        node_ip="192.0.2.1",
        pod_cidr="10.244.9.0/24",
        state_dir=node.directory,
        cluster_dns=("10.96.0.10",),
        hosts=hosts,
        netns=node.pin,
    )
    return NodeAgent(
        config,
        client=client_for(Identity("system:node:node1", ("system:nodes",))),
        runtime=node.runtime,
        images=ImageStore(node.directory / "images", SystemClock()),
        clock=SystemClock(),
        rng=random.Random(1),
    )


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "below-the-data-directory"])
async def test_this_installation_runs_in_a_pod(node: Node, hidden: bool) -> None:
    data = PREFIX.parent if hidden else node.directory
    image = await ImageStore(data / "images", SystemClock()).resolve("seamark.local/seamark", policy="Never")
    runtime = PodRuntime(state_dir=node.directory, node_namespace=node.pin, clock=SystemClock(), hidden=(data,))
    await runtime.create_sandbox(node.sandbox(1))
    command = (*image.entrypoint, "version")
    await runtime.start_container(node.container(1, *command, image=image, env=image.env))
    assert (await node.ended(1)).exit_code == 0
    assert node.log(1) == [f"stdout F seamark {seamark.__version__}"]
    await runtime.close()


async def test_a_pod_from_its_object_to_its_end(
    node: Node, agent: NodeAgent, api: object, client_for: Callable[[Identity], ApiClient], client: type[Client]
) -> None:
    admin = client_for(Identity("admin", ("system:masters",)))
    await admin.create(
        CONFIGMAPS, {"metadata": {"name": "settings", "namespace": "default"}, "data": {"greeting": "hello\n"}}
    )
    running = asyncio.create_task(agent.run())
    try:
        await admin.create(PODS, pod("web", command=["sh", "-c", SCRIPT]))
        await admin.create(PODS, pod("job", command=["sh", "-c", "exit 3"], restartPolicy="Never"))
        web = await until(admin, "web", lambda status: status.get("phase") == "Running")
        assert web["status"]["podIP"].startswith("10.244.9.")
        job = await until(admin, "job", lambda status: status.get("phase") == "Failed")
        assert job["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3

        log = b"".join([chunk async for chunk in agent.logs(LogRequest("default", "web", "main"))])
        assert log == b"from web\nhello\n"
        io = client()
        request = ExecRequest("default", "web", "main", ("cat", "/etc/hosts", "/etc/resolv.conf"))
        assert await agent.exec(request, io) == 0
        assert f"{web['status']['podIP']}\tweb\n" in io.out.decode()
        assert "nameserver 10.96.0.10\n" in io.out.decode()

        for name in ("web", "job"):
            await admin.delete(PODS, name, namespace="default")
        for _ in range(1000):
            if not await node.runtime.list_sandboxes():
                break
            await asyncio.sleep(0.02)
        assert await node.runtime.list_sandboxes() == ()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
