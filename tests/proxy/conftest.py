"""A node with three pods and an outside client, and a proxy on it that watches a real API in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.compile.ruleset import NodeConfig
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import ENDPOINTSLICES, SERVICES
from seamark.proxy.options import ProxyOptions
from seamark.proxy.proxy import ServiceProxy
from seamark.testing.networld import World, make_world

NODE = "172.30.0.11"
PODS = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
REMOTE = ("10.244.2.2", "10.244.2.3")

Obj = dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path / "netns", node=NODE, pods=PODS, outside=REMOTE) as made:
        yield made


class Cluster:
    """Services and slices put through the API, and a proxy that has applied them when a call returns."""

    def __init__(self, client: Client, proxy: ServiceProxy) -> None:
        self.client = client
        self.proxy = proxy

    async def service(self, name: str = "web", ip: str = "10.96.7.9", port: int = 80, **spec: Any) -> None:
        ports = spec.pop("ports", None) or [{"name": "http", "port": port, "protocol": spec.pop("protocol", "TCP")}]
        body = {"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": ip, "ports": ports, **spec}}
        await self.put(SERVICES, body)

    async def endpoints(
        self, *addresses: str, service: str = "web", port: int = 8080, protocol: str = "TCP", **conditions: bool
    ) -> None:
        endpoints = [
            {
                "addresses": [ip],
                "nodeName": "node1" if ip in PODS else "node2",
                "conditions": {"ready": True, **conditions},
            }
            for ip in addresses
        ]
        body = {
            "metadata": {
                "name": f"{service}-x",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": protocol}],
            "endpoints": endpoints,
        }
        await self.put(ENDPOINTSLICES, body)

    async def put(self, gvr: Any, body: Obj) -> None:
        meta = body["metadata"]
        found = [o for o in await self.client.list(gvr, namespace="default") if o["metadata"]["name"] == meta["name"]]
        before = len(self.proxy.applied)
        if found:
            meta["resourceVersion"] = found[0]["metadata"]["resourceVersion"]
            await self.client.update(gvr, {**found[0], **body})
        else:
            await self.client.create(gvr, {"apiVersion": gvr.api_version, "kind": gvr.kind, **body})
        await self.applied(before)

    async def delete(self, gvr: Any, name: str) -> None:
        before = len(self.proxy.applied)
        await self.client.delete(gvr, name, namespace="default")
        await self.applied(before)

    async def applied(self, before: int) -> None:
        async with asyncio.timeout(5):
            while len(self.proxy.applied) <= before:  # noqa: ASYNC110 - the kernel and the watch have real time
                await asyncio.sleep(0.002)


Start = Callable[[], Any]


@pytest.fixture
def start_proxy(world: World, client: Client) -> Start:
    @asynccontextmanager
    async def start(
        *, remove: bool = True, options: dict[str, Any] | None = None, **config: Any
    ) -> AsyncIterator[Cluster]:
        ranges = {"pod_cidrs": ("10.244.0.0/16",), "service_cidrs": ("10.96.0.0/12",)}
        node = NodeConfig(name="node1", node_ips=(NODE,), **{**ranges, **config})
        told = ProxyOptions(**(options or {}))
        proxy = ServiceProxy(node, client=client, namespace_pin=world.node_pin, clock=SystemClock(), options=told)
        running = asyncio.create_task(proxy.run())
        ready = asyncio.create_task(proxy.ready.wait())
        try:
            await asyncio.wait({running, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield Cluster(client, proxy)
        finally:
            ready.cancel()
            running.cancel()
            await asyncio.gather(running, ready, return_exceptions=True)
            if remove:
                await proxy.remove()

    return start


@pytest.fixture
async def cluster(start_proxy: Start) -> AsyncIterator[Cluster]:
    async with start_proxy() as made:
        yield made
