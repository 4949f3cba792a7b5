"""All controllers and the scheduler against the real API application in memory, with nodes that only pretend.

A hollow node does what an agent does to a pod's status, at once: gives it an address and says it is ready; and when the
pod is to go, lets it go.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.informer import Informer
from seamark.client.inprocess import InProcessTransport
from seamark.controllers.manager import run_controllers
from seamark.controllers.settings import ControllerSettings
from seamark.machinery.clock import format_micro_time, format_time
from seamark.machinery.gvr import LEASES, NODES, PODS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity
from seamark.model.meta import ObjectKey
from seamark.model.pod import Pod
from seamark.scheduler.controller import run_scheduler
from seamark.testing.builders import make_node, to_create
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]
ROUNDS = 4000


async def eventually(holds: Callable[[], Awaitable[Any]], what: str = "") -> Any:
    """What ``holds`` gives once it is true. Bounded in turns of the loop, not in time: no clock is moved."""
    for _ in range(ROUNDS // 10):
        found = await holds()
        if found:
            return found
        for _ in range(10):
            await asyncio.sleep(0)
    raise AssertionError(f"never came true: {what or holds}")


class HollowNode:
    def __init__(self, client: Client, name: str, index: int, clock: FakeClock) -> None:
        self.client = client
        self.name = name
        self.clock = clock
        self.ready = True
        self.keeps: set[str] = set()  # pods that do not end when told to
        self.unready: set[str] = set()  # pods that never get ready
        self._index = index
        self._serial = 1
        self._tasks: set[asyncio.Task[None]] = set()
        self.pods: Informer[Pod] = Informer(client, PODS, Pod, clock=clock, field_selector=f"spec.nodeName={name}")
        self.pods.on_change(self._on_pod)

    async def register(self) -> None:
        await self.client.create(NODES, to_create(make_node(self.name)))
        node = await self.client.get(NODES, self.name)
        node["status"] = make_node(self.name)["status"]
        await self.client.update_status(NODES, node)
        await self.renew()

    async def renew(self) -> None:
        spec = {"holderIdentity": self.name, "renewTime": format_micro_time(self.clock.time())}
        meta = {"name": self.name, "namespace": "kube-node-lease"}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        try:
            await self.client.create(LEASES, lease)
        except StatusError:
            await self.client.patch(LEASES, self.name, {"spec": spec}, namespace="kube-node-lease")

    def _on_pod(self, old: Pod | None, new: Pod | None, seen: float) -> None:
        if new is not None:
            task = asyncio.create_task(self._tend(new))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tend(self, pod: Pod) -> None:
        try:
            if pod.is_terminating and pod.metadata.name not in self.keeps:
                await self.client.delete(
                    PODS, pod.metadata.name, namespace=pod.metadata.namespace, options={"gracePeriodSeconds": 0}
                )
            elif pod.status.phase == "Pending":
                await self._start(pod)
        except StatusError as error:
            assert error.code in (404, 409), error

    async def _start(self, pod: Pod) -> None:
        self._serial += 1
        ip = f"10.244.{self._index}.{self._serial}"
        await self.say_ready(pod.key, pod.metadata.name not in self.unready, ip)

    async def say_ready(self, key: ObjectKey, ready: bool, ip: str = "") -> None:
        whole = await self.client.get(PODS, key.name, namespace=key.namespace)
        at = format_time(self.clock.time())
        status = whole.setdefault("status", {})
        kept = [c for c in status.get("conditions") or [] if c["type"] != "Ready"]
        status["conditions"] = [*kept, {"type": "Ready", "status": str(ready), "lastTransitionTime": at}]
        status["phase"] = "Running"
        if ip:
            status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        await self.client.update_status(PODS, whole)

    async def finish(self, key: ObjectKey, phase: str) -> None:
        whole = await self.client.get(PODS, key.name, namespace=key.namespace)
        whole["status"]["phase"] = phase
        await self.client.update_status(PODS, whole)


class Cluster:
    def __init__(self, api: Api, client: Client, clock: FakeClock) -> None:
        self.api = api
        self.client = client
        self.clock = clock
        self.nodes: dict[str, HollowNode] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.eventually = eventually

    def start(self, settings: ControllerSettings) -> None:
        """Both with the rights that they have in a real cluster, and no more."""
        manager, scheduler = (
            Client(InProcessTransport(self.api.handle), identity=Identity(user, ("system:authenticated",)))
            for user in ("system:kube-controller-manager", "system:kube-scheduler")
        )
        work = run_controllers(manager, clock=self.clock, settings=settings, rng=random.Random(1))
        self.tasks.append(asyncio.create_task(work))
        self.tasks.append(asyncio.create_task(run_scheduler(scheduler, clock=self.clock)))

    async def add_node(self, name: str) -> HollowNode:
        async def lease_namespace() -> bool:
            return any(n["metadata"]["name"] == "kube-node-lease" for n in await self.list_all("namespaces"))

        await eventually(lease_namespace, "kube-node-lease")
        node = HollowNode(self.client, name, len(self.nodes), self.clock)
        await node.register()
        self.nodes[name] = node
        self.tasks.append(asyncio.create_task(node.pods.run()))
        return node

    async def are_open(self) -> bool:
        """Whether pods may go to every node."""
        return not any(node["spec"].get("taints") for node in await self.client.list(NODES))

    async def list_all(self, resource: str, namespace: str = "") -> list[Obj]:
        from seamark.machinery import gvr as g

        return await self.client.list(getattr(g, resource.upper()), namespace=namespace)

    async def pods(self, namespace: str = "default", *, ready: bool = False) -> list[Pod]:
        from seamark.model import codec

        found = [codec.convert(obj, Pod) for obj in await self.client.list(PODS, namespace=namespace)]
        return [pod for pod in found if pod.is_ready] if ready else found

    async def ready_pods(self, count: int, namespace: str = "default") -> list[Pod]:
        async def enough() -> list[Pod]:
            found = await self.pods(namespace)
            live = [pod for pod in found if not pod.is_terminating]
            return found if len(found) == len(live) == count and all(p.is_ready for p in found) else []

        if count == 0:

            async def none() -> bool:
                return not await self.pods(namespace)

            await eventually(none, f"no pods in {namespace}")
            return []
        return await eventually(enough, f"{count} ready pods in {namespace}")

    async def pass_time(self, seconds: float, *, silent: str = "") -> None:
        """Moves the clock while every node but one renews its lease."""
        while seconds > 0:
            for name, node in self.nodes.items():
                if name != silent:
                    await node.renew()
            await self.clock.advance(min(5.0, seconds))
            seconds -= 5.0

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def bare(api: Api, client: Client, clock: FakeClock) -> AsyncIterator[Cluster]:
    """Nothing runs yet: for tests that need to be first."""
    found = Cluster(api, client, clock)
    yield found
    await found.stop()


@pytest.fixture
async def cluster(bare: Cluster) -> AsyncIterator[Cluster]:
    """Controllers, scheduler and three hollow nodes; no DNS pods in the way."""
    bare.start(ControllerSettings(api_endpoint=("10.0.0.1", 6443), ca_pem="CA", dns_replicas=0))
    for name in ("master1", "node1", "node2"):
        await bare.add_node(name)
    await eventually(bare.are_open, "nodes without taints")
    yield bare


@pytest.fixture
def make_cluster() -> type[Cluster]:
    return Cluster
