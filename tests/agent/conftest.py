"""A node of its own: agent, runtime and images in memory, against the API server of tests/conftest.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from seamark.agent.config import AgentConfig
from seamark.agent.eviction import Threshold
from seamark.agent.node import NodeAgent
from seamark.api.app import Api
from seamark.api.config import ApiConfig
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import NAMESPACES, PODS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock, settle
from seamark.testing.fakeruntime import FakeImages, FakeRuntime

Obj = dict[str, Any]
ROUNDS = 3000


class Node:
    """The node under test and the hands a test needs. Nothing here lets time pass but ``clock.advance``."""

    def __init__(self, client: Client, node_client: Client, clock: FakeClock, state_dir: Path) -> None:
        self.client = client
        self.node_client = node_client
        self.clock = clock
        self.state_dir = state_dir
        self.runtime = FakeRuntime(clock)
        self.guarded = False  # asked before a pod is told to end; counts from the next ``restart``
        self.asked_to_leave: list[str] = []  # addresses of which the agent asked whether connections still come
        self.static_pods: Path | None = None  # the folder; counts from the next ``restart``
        self.eviction_hard: tuple[Threshold, ...] = ()
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.images = FakeImages(clock)
        self.images.add("web:1", "serve")
        self.agent = self._make()
        self._task: asyncio.Task[None] | None = None

    def _make(self) -> NodeAgent:
        hosts = self.state_dir / "node-hosts"
        hosts.write_text("127.0.0.1\tlocalhost\n192.168.100.12\tnode1\n")
        resolv = self.state_dir / "node-resolv"
        resolv.write_text("nameserver 192.168.100.1\n")
        config = AgentConfig(
            node="node1",
            node_ip="192.168.100.12",
            pod_cidr="10.244.1.0/24",
            state_dir=self.state_dir,
            cluster_dns=("10.96.0.10",),
            resolv_conf=resolv,
            hosts=hosts,
            unrouted=self._unrouted if self.guarded else None,
            static_pods=self.static_pods,
            eviction_hard=self.eviction_hard,
        )
        return NodeAgent(
            config,
            client=self.node_client,
            runtime=self.runtime,
            images=self.images,
            clock=self.clock,
            rng=Random(1),
        )

    async def _unrouted(self, ip: str) -> None:
        self.asked_to_leave.append(ip)
        await self.may_leave.wait()

    async def start(self) -> None:
        self._task = asyncio.create_task(self.agent.run())
        for _ in range(50):
            await asyncio.sleep(0)

    async def kill(self) -> None:
        """The agent's process dies; pods run on."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def restart(self) -> None:
        await self.kill()
        self.agent = self._make()
        await self.start()

    async def advance(self, seconds: float) -> None:
        """Lets time go by, after everything that has to be asleep by then is asleep."""
        await settle(100)
        await self.clock.advance(seconds)
        await settle(100)

    async def create(self, name: str = "web", *, meta: Obj | None = None, **spec: Any) -> Obj:
        """A pod bound to this node."""
        body = {
            "containers": [{"name": "web", "image": "web:1"}],
            "nodeName": "node1",
            "automountServiceAccountToken": False,
        }
        made = {"metadata": {"name": name, "namespace": "default", **(meta or {})}, "spec": {**body, **spec}}
        return await self.client.create(PODS, made)

    async def pod(self, name: str = "web") -> Obj:
        return await self.client.get(PODS, name, namespace="default")

    async def until(self, check: Callable[[Obj], Any], name: str = "web") -> Obj:
        """The pod, as soon as ``check`` holds; without time going by."""
        pod: Obj = {}
        for _ in range(ROUNDS):
            pod = await self.pod(name)
            if check(pod):
                return pod
            await asyncio.sleep(0)
        raise AssertionError(f"never came true; last seen: {pod.get('status')}")

    async def until_running(self, name: str = "web") -> Obj:
        return await self.until(lambda pod: pod["status"].get("phase") == "Running", name)

    async def until_there(self, name: str = "web") -> Obj:
        async def there() -> bool:
            try:
                await self.pod(name)
            except StatusError as error:
                return error.code != 404
            return True

        await self.eventually(there)
        return await self.pod(name)

    async def until_gone(self, name: str = "web") -> None:
        async def gone() -> bool:
            try:
                await self.pod(name)
            except StatusError as error:
                return error.code == 404
            return False

        await self.eventually(gone)

    async def eventually(self, check: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(ROUNDS):
            if await check():
                return
            await asyncio.sleep(0)
        raise AssertionError("never came true")

    async def wait(self, check: Callable[[], bool]) -> None:
        for _ in range(ROUNDS):
            if check():
                return
            await asyncio.sleep(0)
        raise AssertionError("never came true")

    async def delete(self, name: str = "web", **options: Any) -> None:
        await self.client.delete(PODS, name, namespace="default", options=options or None)

    def file(self, uid: str, path: str) -> str:
        return (self.state_dir / "pods" / uid / path).read_text()


def container(pod: Obj, name: str = "web") -> Obj:
    listed = [*pod["status"].get("containerStatuses", []), *pod["status"].get("initContainerStatuses", [])]
    return next((dict(c) for c in listed if c["name"] == name), {})


@pytest.fixture
async def api(clock: FakeClock) -> AsyncIterator[Api]:
    """As in tests/conftest.py, with a key: it can issue tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    store = MemoryStore(now=clock.time)
    made = Api(store=store, registry=build_registry(), clock=clock, config=ApiConfig(service_account_key=pem))
    await made.start()
    admin = Client(InProcessTransport(made.handle), identity=Identity("admin", (ADMIN_GROUP,)))
    await admin.create(NAMESPACES, {"metadata": {"name": "default"}})
    yield made
    await store.close()


@pytest.fixture
def status_of() -> Callable[..., Obj]:
    """``(pod, container="web")``: the container's status."""
    return container


@pytest.fixture
async def node(
    client: Client, client_for: Callable[[Identity], Client], clock: FakeClock, tmp_path: Path
) -> AsyncIterator[Node]:
    await client.create(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
    made = Node(client, client_for(Identity("system:node:node1", ("system:nodes",))), clock, tmp_path)
    await made.start()
    yield made
    await made.agent.shutdown(stop_pods=False)
    await made.kill()
    await made.runtime.close()
