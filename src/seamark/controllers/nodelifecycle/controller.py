"""Node lifecycle: wiring. A well node costs one look per grace period, however often it renews its lease."""

from __future__ import annotations

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.nodelifecycle.heartbeats import Heartbeats
from seamark.controllers.nodelifecycle.plan import (
    GRACE,
    eviction_in,
    plan_pod_conditions,
    plan_taints,
    plan_unknown,
    ready_status,
)
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import Lease, WorkloadPod
from seamark.machinery.gvr import NODES, PODS
from seamark.model import codec
from seamark.model.meta import ObjectKey
from seamark.model.node import Node

COMPONENT = "node-controller"
LEASES = "kube-node-lease"


class NodeLifecycleController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self._heartbeats = Heartbeats()
        self.controller = Controller("nodelifecycle", self.reconcile, clock=caches.clock)
        caches.nodes.on_change(self._on_node)
        caches.leases.on_change(self._on_lease)
        caches.pods.on_change(self._on_pod)

    def _on_node(self, old: Node | None, new: Node | None, seen: float) -> None:
        if new is None and old is not None:
            self._heartbeats.forget(old.metadata.name)
        elif new is not None and (old is None or (old.spec, old.status) != (new.spec, new.status)):
            self.controller.queue.add(new.key)
        if new is not None and old is None:
            name = new.metadata.name
            message = f"Node {name} event: Registered Node {name} in Controller"
            self._events.record(COMPONENT, NODES, new, "RegisteredNode", message)

    def _on_lease(self, old: Lease | None, new: Lease | None, seen: float) -> None:
        if new is None or new.metadata.namespace != LEASES:
            return
        self._hear(new.key.name)
        node = self._caches.nodes.get(ObjectKey("", new.key.name))
        if node is not None and ready_status(node) == "Unknown":
            self.controller.queue.add(node.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        if new is not None and new.spec.node_name and (old is None or new.is_ready != old.is_ready):
            node = self._caches.nodes.get(ObjectKey("", new.spec.node_name))
            if node is not None and not node.is_ready:
                self.controller.queue.add(node.key)

    def _hear(self, name: str) -> float:
        lease = self._caches.leases.get(ObjectKey(LEASES, name))
        renewed = (lease.spec.renew_time or "") if lease is not None else ""
        return self._heartbeats.hear(name, renewed, now=self._caches.clock.monotonic())

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        node = caches.nodes.get(key)
        if node is None or node.metadata.deletion_timestamp is not None:
            return None
        left = self._hear(key.name) + GRACE - caches.clock.monotonic()
        whole = await caches.client.get(NODES, key.name)
        if left <= 0:
            whole = await self._mark_unknown(node, whole)
            node = codec.convert(whole, Node)
        now = caches.clock.time()
        taints = plan_taints(node, whole.get("spec", {}).get("taints") or [], now=now)
        if taints is not None:
            patch = {
                "metadata": {"resourceVersion": whole["metadata"]["resourceVersion"]},
                "spec": {"taints": taints or None},
            }
            whole = await caches.patch(NODES, key, patch)
        if ready_status(node) == "True":
            return max(left, 0.1)
        again = await self._tend_pods(node, whole.get("spec", {}).get("taints") or [])
        return min([wait for wait in (again, left if left > 0 else None) if wait is not None], default=None)

    async def _mark_unknown(self, node: Node, whole: dict[str, object]) -> dict[str, object]:
        status = dict(whole.get("status") or {})  # type: ignore[call-overload]
        created = node.metadata.creation_timestamp or ""
        conditions = plan_unknown(status.get("conditions") or [], created=created, now=self._caches.clock.time())
        if conditions is None:
            return whole
        name = node.metadata.name
        self._events.record(COMPONENT, NODES, node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        whole = {**whole, "status": {**status, "conditions": conditions}}
        return await self._caches.client.update_status(NODES, whole)

    async def _tend_pods(self, node: Node, taints: list[dict[str, object]]) -> float | None:
        waits = []
        for pod in self._caches.pods_on.get(node.metadata.name):
            if pod.is_ready:
                await self._mark_not_ready(pod)
            wait = eviction_in(pod, taints, now=self._caches.clock.time())
            if wait is None or pod.is_terminating:
                continue
            if wait > 0:
                waits.append(wait)
                continue
            message = f"Marking for deletion Pod {pod.key}"
            self._events.record("taint-eviction-controller", PODS, pod, "TaintManagerEviction", message)
            await self._caches.delete(PODS, pod)
        return min(waits, default=None)

    async def _mark_not_ready(self, pod: WorkloadPod) -> None:
        whole = await self._caches.client.get(PODS, pod.metadata.name, namespace=pod.metadata.namespace)
        status = whole.get("status") or {}
        conditions = plan_pod_conditions(status.get("conditions") or [], now=self._caches.clock.time())
        if conditions is None or whole["metadata"]["uid"] != pod.metadata.uid:
            return
        whole["status"] = {**status, "conditions": conditions}
        await self._caches.client.update_status(PODS, whole)
