"""DaemonSets: wiring. A node that comes, goes or changes concerns every set; a pod only its own."""

from __future__ import annotations

from seamark.client.events import EventRecorder
from seamark.controllers.caches import Caches
from seamark.controllers.claims import apply_claims, apply_history, owner_keys
from seamark.controllers.daemonset.plan import plan_daemons, plan_status
from seamark.controllers.daemonset.pods import render_daemon_pod
from seamark.controllers.history import select_surplus
from seamark.controllers.owners import compile_selector, select_claims
from seamark.controllers.revision import CONTROLLER_REVISION_HASH
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import DaemonSet, WorkloadPod, status_patch
from seamark.machinery.gvr import CONTROLLERREVISIONS, DAEMONSETS, PODS
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey
from seamark.model.node import Node

COMPONENT = "daemonset-controller"


class DaemonSetController:
    def __init__(self, caches: Caches, events: EventRecorder) -> None:
        self._caches = caches
        self._events = events
        self.controller = Controller("daemonset", self.reconcile, clock=caches.clock)
        caches.daemonsets.on_change(self._on_set)
        caches.pods.on_change(self._on_pod)
        caches.nodes.on_change(self._on_node)

    def _on_set(self, old: DaemonSet | None, new: DaemonSet | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self.controller.queue.add(found.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        for key in owner_keys(DAEMONSETS, self._caches.daemonsets_in, old, new):
            self.controller.queue.add(key)

    def _on_node(self, old: Node | None, new: Node | None, seen: float) -> None:
        """Heartbeats change neither labels nor taints."""
        if old is not None and new is not None and (old.labels, old.spec) == (new.labels, new.spec):
            return
        for key in self._caches.daemonsets.items:
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        ds = caches.daemonsets.get(key)
        selector = compile_selector(ds.spec.selector) if ds else None
        if ds is None or selector is None:
            return None
        orphans = caches.pods_of.get(("", key.namespace))
        claims = select_claims(ds, selector, caches.pods_of.get(ds.metadata.uid), orphans)
        await apply_claims(caches, PODS, ds, DAEMONSETS, claims)
        name = await apply_history(caches, ds, DAEMONSETS, ds.spec.template, ds.status.collision_count)
        version = name.removeprefix(f"{ds.metadata.name}-")
        pods = caches.pods_of.get(ds.metadata.uid)
        plan = plan_daemons(ds, caches.nodes.items, pods, version, now=caches.clock.time())
        for pod in plan.failed:
            message = f"Found failed daemon pod {pod.key} on node {pod.spec.node_name}, will try to kill it"
            self._events.record(COMPONENT, DAEMONSETS, ds, "FailedDaemonPod", message, warning=True)
        for pod in (*plan.failed, *plan.delete):
            if await caches.delete(PODS, pod):
                self._note(ds, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")
        for node in plan.create:
            await self._create(ds, node, version)
        await self._write_status(key, version)
        return plan.again

    async def _create(self, ds: DaemonSet, node: str, version: str) -> None:
        try:
            made = await self._caches.create(PODS, render_daemon_pod(ds, node, version))
        except StatusError as error:
            message = f"Error creating: {error.message}"
            self._events.record(COMPONENT, DAEMONSETS, ds, "FailedCreate", message, warning=True)
            raise
        self._note(ds, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    def _note(self, ds: DaemonSet, reason: str, message: str) -> None:
        self._events.record(COMPONENT, DAEMONSETS, ds, reason, message)

    async def _write_status(self, key: ObjectKey, version: str) -> None:
        caches = self._caches
        ds = caches.daemonsets.get(key)
        if ds is None:
            return
        pods = caches.pods_of.get(ds.metadata.uid)
        wanted = plan_status(ds, caches.nodes.items, pods, version, now=caches.clock.time())
        if wanted != ds.status:
            await caches.patch(DAEMONSETS, key, status_patch(ds.status, wanted), subresource="status")
        versions = {version, *(pod.labels.get(CONTROLLER_REVISION_HASH, "") for pod in pods)}
        used = {f"{ds.metadata.name}-{found}" for found in versions}
        for revision in select_surplus(caches.revisions_of.get(ds.metadata.uid), used, ds.spec.revision_history_limit):
            await caches.delete(CONTROLLERREVISIONS, revision)
