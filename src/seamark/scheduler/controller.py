"""The scheduler: wiring. One pod at a time; a pod that fits nowhere waits until a node or a pod changes.

What can make room: a node that comes or changes (labels, taints, readiness, allocatable), a pod that goes, and for
pods that heed their neighbours a pod that comes. Those that wait are then looked at again, by priority and age.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.client.informer import Informer
from seamark.client.workqueue import Controller
from seamark.machinery.clock import Clock, format_time
from seamark.machinery.gvr import NODES, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey
from seamark.model.volume import (
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from seamark.scheduler.neighbours import heeds_neighbours
from seamark.scheduler.plan import SCHEDULER_NAME, is_ours, plan_placement, select_order
from seamark.scheduler.podspec import OfferingNode, RequestingPod
from seamark.scheduler.state import SchedulerState
from seamark.scheduler.volumes import Storage, VolumeNeeds, plan_volumes


async def run_scheduler(client: Client, *, clock: Clock, random_bits: Callable[[int], int] = secrets.randbits) -> None:
    """Runs until cancelled. ``random_bits`` names the events."""
    scheduler = Scheduler(client, clock=clock, events=EventRecorder(client, clock=clock, random_bits=random_bits))
    await scheduler.run()


class Scheduler:
    def __init__(self, client: Client, *, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._events = events
        self._state = SchedulerState()
        self._waiting: dict[ObjectKey, RequestingPod] = {}
        self._pods = Informer(client, PODS, RequestingPod, clock=clock)
        self._nodes = Informer(client, NODES, OfferingNode, clock=clock)
        self._claims = Informer(client, PERSISTENTVOLUMECLAIMS, PersistentVolumeClaim, clock=clock)
        self._volumes = Informer(client, PERSISTENTVOLUMES, PersistentVolume, clock=clock)
        self._classes = Informer(client, STORAGECLASSES, StorageClass, clock=clock)
        self._storage = Storage(self._claims.items, self._volumes.items, self._classes.items)
        self.controller = Controller("scheduler", self.reconcile, clock=clock, workers=1)
        self._nodes.on_change(self._on_node)
        self._pods.on_change(self._on_pod)
        for informer in self._stores:
            informer.on_change(self._on_storage)

    @property
    def _stores(self) -> tuple[Informer[Any], ...]:
        return (self._claims, self._volumes, self._classes)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nodes.run())
            group.create_task(self._pods.run())
            group.create_task(self._events.run())
            for store in self._stores:
                group.create_task(store.run())
            await self._nodes.wait_synced()
            await self._pods.wait_synced()
            for store in self._stores:
                await store.wait_synced()
            group.create_task(self.controller.run())

    def _on_node(self, old: OfferingNode | None, new: OfferingNode | None, seen: float) -> None:
        self._state.note_node(old, new)
        if old is None or new is None or _offer(old) != _offer(new):
            self._retry_waiting()

    def _on_pod(self, old: RequestingPod | None, new: RequestingPod | None, seen: float) -> None:
        self._state.note_pod(old, new)
        if new is not None and is_ours(new):
            if old is None or old.spec != new.spec or old.metadata.uid != new.metadata.uid:
                self.controller.queue.add(new.key)
            return
        gone = new or old
        assert gone is not None
        self._waiting.pop(gone.key, None)
        if gone.spec.node_name and (new is None or new.is_finished):
            self._retry_waiting()
        elif old is None or new is None or (old.labels, old.spec.node_name) != (new.labels, new.spec.node_name):
            self._retry_waiting(only=heeds_neighbours)

    def _on_storage(self, old: Object | None, new: Object | None, seen: float) -> None:
        self._retry_waiting(only=_has_claims)

    def _retry_waiting(self, only: Callable[[RequestingPod], bool] = lambda pod: True) -> None:
        for pod in select_order(list(self._waiting.values())):
            if only(pod):
                self.controller.queue.add(pod.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        pod = self._pods.get(key)
        if pod is None or not is_ours(pod):
            self._waiting.pop(key, None)
            return None
        needs = plan_volumes(pod, self._storage) if pod.spec.volumes else None
        decision = plan_placement(pod, self._state.nodes, needs)
        if not decision.node:
            self._waiting[key] = pod
            await self._report(pod, decision.message)
        elif needs is not None and needs.waiting:
            self._waiting[key] = pod  # until its claims are bound
            await self._set_aside(needs, decision.node)
        else:
            await self._bind(pod, decision.node)
        return None

    async def _set_aside(self, needs: VolumeNeeds, node: str) -> None:
        found = self._state.nodes[node].node
        assert found is not None
        for claim, volume in needs.set_aside(found) or ():
            if volume is None:
                meta = {"annotations": {SELECTED_NODE: node}}
                await self._client.patch(
                    PERSISTENTVOLUMECLAIMS, claim.metadata.name, {"metadata": meta}, namespace=claim.metadata.namespace
                )
                continue
            reference: dict[str, Any] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
            reference |= {n: getattr(claim.metadata, n) for n in ("namespace", "name", "uid")}
            version, marked = volume.metadata.resource_version, {BOUND_BY_CONTROLLER: "yes"}
            patch = {"metadata": {"resourceVersion": version, "annotations": marked}, "spec": {"claimRef": reference}}
            if not volume.is_for(claim) or volume.spec.claim_ref is None or not volume.spec.claim_ref.uid:
                await self._client.patch(PERSISTENTVOLUMES, volume.metadata.name, patch)

    async def _bind(self, pod: RequestingPod, node: str) -> None:
        meta = pod.metadata
        binding: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        self._state.assume(pod, node)
        try:
            await self._client.create(PODS, binding, namespace=meta.namespace, name=meta.name, subresource="binding")
        except BaseException as error:
            self._state.release(pod)
            if isinstance(error, StatusError) and error.code in (404, 409):
                return  # gone, or bound by another: the watch brings what is true
            raise
        self._waiting.pop(pod.key, None)
        message = f"Successfully assigned {meta.namespace}/{meta.name} to {node}"
        self._events.record(SCHEDULER_NAME, PODS, pod, "Scheduled", message)

    async def _report(self, pod: RequestingPod, message: str) -> None:
        known = pod.condition("PodScheduled")
        if known is not None and (known.status, known.message) == ("False", message):
            return
        self._events.record(SCHEDULER_NAME, PODS, pod, "FailedScheduling", message, warning=True)
        since = known.last_transition_time if known is not None and known.status == "False" else None
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": since or format_time(self._clock.time()),
        }
        kept = [_as_dict(c) for c in pod.status.conditions or () if c.type != "PodScheduled"]
        patch = {
            "metadata": {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version},
            "status": {"conditions": [*kept, condition]},
        }
        meta = pod.metadata
        await self._client.patch(PODS, meta.name, patch, namespace=meta.namespace, subresource="status")


def _has_claims(pod: RequestingPod) -> bool:
    return any(volume.claim_name for volume in pod.spec.volumes or ())


def _offer(node: OfferingNode) -> tuple[Any, ...]:
    """All that a decision reads of a node; a heartbeat changes none of it."""
    return (node.labels, node.spec, node.is_ready, node.status.allocatable)


def _as_dict(condition: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(condition)
    return found
