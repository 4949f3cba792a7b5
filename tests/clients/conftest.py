"""A cluster of one node with a pod that answers HTTP, for the libraries that other people write clients with."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Iterator

import pytest
from conformance.cluster import Cluster, running_cluster

from seamark.client.client import Client
from seamark.machinery.gvr import PODS

WEB = {
    "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": "seamark.local/host",
                "command": ["sh", "-c", "echo started; cd /tmp; echo hello > hello; exec python3 -u -m http.server 80"],
                "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
            }
        ],
    },
}


@pytest.fixture(scope="module", autouse=True)
def sockets() -> Iterator[None]:
    """The libraries leave sockets to the garbage collector: here, where no test is blamed for it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with running_cluster("--nodes", "1") as made:
        asyncio.run(_run_pod(made.client()))
        yield made


async def _run_pod(client: Client) -> None:
    await client.create(PODS, WEB)
    async with asyncio.timeout(30):
        async for event in client.watch(PODS, namespace="default", query={"labelSelector": "app=web"}):
            if b'"type":"Ready","status":"True"' in bytes(event.object).replace(b" ", b""):
                return
