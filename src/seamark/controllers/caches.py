"""One informer per collection for all controllers, the indexes over them, and writes that show in them at once.

Rule: controllers write through ``Caches``. What the server answers goes into the informer before the call returns
(``Informer.observe``/``forget``), so the next reconcile never decides on a state older than its own last write, and
no controller needs to remember what it expects to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from seamark.client.client import Client, Obj, PatchType
from seamark.client.index import Index
from seamark.client.informer import Informer, RawObject
from seamark.controllers.certificates.objects import Csr
from seamark.controllers.clusterroleaggregation.plan import ClusterRole
from seamark.controllers.disruption.objects import Budget
from seamark.controllers.endpoints.objects import Endpoints
from seamark.controllers.horizontalpodautoscaler.objects import Autoscaler
from seamark.controllers.job.objects import CronJob, Job
from seamark.controllers.owners import controller_uid
from seamark.controllers.workloads import (
    ControllerRevision,
    DaemonSet,
    Deployment,
    Lease,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    TypedSecret,
    WorkloadPod,
)
from seamark.machinery import gvr as g
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.model.endpointslice import EndpointSlice
from seamark.model.ipaddress import IPAddress, ServiceCidr
from seamark.model.meta import Object, ObjectKey
from seamark.model.node import Node
from seamark.model.service import Namespace, Service
from seamark.model.volume import PersistentVolume, PersistentVolumeClaim, StorageClass

T = TypeVar("T", bound=Object)

_BY_METADATA = (  # they have owners, and end with their namespace
    *(g.LIMITRANGES, g.PODTEMPLATES, g.PRIORITYCLASSES, g.RUNTIMECLASSES, g.INGRESSES, g.INGRESSCLASSES),
    *(g.NETWORKPOLICIES, g.CLUSTERROLEBINDINGS, g.ROLEBINDINGS, g.ROLES),
)

OnKind = Callable[[GVR, Informer[Any]], None]


class Caches:
    """``run`` keeps all informers current; ``wait_synced`` returns when each has its first complete list."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.all: dict[GVR, Informer[Any]] = {}
        self._on_kind: list[OnKind] = []
        self._group: asyncio.TaskGroup | None = None
        self._custom: dict[GVR, asyncio.Task[None]] = {}
        self.pods = self._watch(g.PODS, WorkloadPod)
        self.nodes = self._watch(g.NODES, Node)
        self.services = self._watch(g.SERVICES, Service)
        self.endpoints = self._watch(g.ENDPOINTS, Endpoints)
        self.slices = self._watch(g.ENDPOINTSLICES, EndpointSlice)
        self.namespaces = self._watch(g.NAMESPACES, Namespace)
        self.ipaddresses = self._watch(g.IPADDRESSES, IPAddress)
        self.servicecidrs = self._watch(g.SERVICECIDRS, ServiceCidr)
        self.autoscalers = self._watch(g.HORIZONTALPODAUTOSCALERS, Autoscaler)
        self.requests = self._watch(g.CERTIFICATESIGNINGREQUESTS, Csr)
        self.configmaps = self._watch(g.CONFIGMAPS, Object)
        self.secrets = self._watch(g.SECRETS, TypedSecret)
        self.serviceaccounts = self._watch(g.SERVICEACCOUNTS, Object)
        self.claims = self._watch(g.PERSISTENTVOLUMECLAIMS, PersistentVolumeClaim)
        self.volumes = self._watch(g.PERSISTENTVOLUMES, PersistentVolume)
        self.storageclasses = self._watch(g.STORAGECLASSES, StorageClass)
        self.leases = self._watch(g.LEASES, Lease)
        self.deployments = self._watch(g.DEPLOYMENTS, Deployment)
        self.replicasets = self._watch(g.REPLICASETS, ReplicaSet)
        self.replicationcontrollers = self._watch(g.REPLICATIONCONTROLLERS, ReplicationController)
        self.statefulsets = self._watch(g.STATEFULSETS, StatefulSet)
        self.daemonsets = self._watch(g.DAEMONSETS, DaemonSet)
        self.jobs = self._watch(g.JOBS, Job)
        self.cronjobs = self._watch(g.CRONJOBS, CronJob)
        self.revisions = self._watch(g.CONTROLLERREVISIONS, ControllerRevision)
        self.clusterroles = self._watch(g.CLUSTERROLES, ClusterRole)
        self.quotas = self._watch(g.RESOURCEQUOTAS, RawObject)
        self.quotas_in = Index(self.quotas, _by_namespace)
        self.budgets = self._watch(g.PODDISRUPTIONBUDGETS, Budget)
        self.definitions = self._watch(g.CUSTOMRESOURCEDEFINITIONS, RawObject)
        for gvr in _BY_METADATA:
            self._watch(gvr, Object)
        self.pods_of = Index(self.pods, _by_controller)
        self.pods_in = Index(self.pods, _by_namespace)
        self.budgets_in = Index(self.budgets, _by_namespace)
        self.pods_on = Index(self.pods, lambda pod: (pod.spec.node_name,))
        self.replicasets_of = Index(self.replicasets, _by_controller)
        self.revisions_of = Index(self.revisions, _by_controller)
        self.jobs_of = Index(self.jobs, _by_controller)
        self.jobs_in = Index(self.jobs, _by_namespace)
        self.deployments_in = Index(self.deployments, _by_namespace)
        self.replicasets_in = Index(self.replicasets, _by_namespace)
        self.replicationcontrollers_in = Index(self.replicationcontrollers, _by_namespace)
        self.statefulsets_in = Index(self.statefulsets, _by_namespace)
        self.daemonsets_in = Index(self.daemonsets, _by_namespace)

    def _watch(self, gvr: GVR, kind: type[T]) -> Informer[T]:
        informer = Informer(self.client, gvr, kind, clock=self.clock)
        self.all[gvr] = informer
        return informer

    def on_kind(self, fn: OnKind) -> None:
        """Calls ``fn`` for every collection that is watched, and for each custom one when its watch begins."""
        for gvr, informer in list(self.all.items()):
            fn(gvr, informer)
        self._on_kind.append(fn)

    def watch_custom(self, gvr: GVR) -> None:
        """Begins to watch a custom kind; nothing if it is watched already."""
        if gvr in self.all or self._group is None:
            return
        informer = self._watch(gvr, Object)
        for fn in self._on_kind:
            fn(gvr, informer)
        self._custom[gvr] = self._group.create_task(informer.run())

    def forget_custom(self, gvr: GVR) -> None:
        """Ends the watch of a custom kind that is gone, as if all its objects were."""
        task = self._custom.pop(gvr, None)
        if task is None:
            return
        task.cancel()
        informer = self.all[gvr]
        for item in list(informer.items.values()):
            informer.forget(item.key, item.metadata.uid)
        del self.all[gvr]

    @property
    def custom_kinds(self) -> tuple[GVR, ...]:
        return tuple(self._custom)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            for informer in self.all.values():
                group.create_task(informer.run())

    async def wait_synced(self) -> None:
        for informer in tuple(self.all.values()):
            await informer.wait_synced()

    async def create(self, gvr: GVR, obj: Obj) -> Obj:
        return self._observed(gvr, await self.client.create(gvr, obj))

    async def update(self, gvr: GVR, obj: Obj) -> Obj:
        return self._observed(gvr, await self.client.update(gvr, obj))

    async def patch(
        self, gvr: GVR, key: ObjectKey, patch: Any, *, subresource: str = "", type: PatchType = "merge"
    ) -> Obj:
        found = await self.client.patch(
            gvr, key.name, patch, namespace=key.namespace, subresource=subresource, type=type
        )
        return self._observed(gvr, found)

    async def delete(self, gvr: GVR, item: Object, *, options: Obj | None = None) -> bool:
        """Deletes exactly this object (by uid). False: it was gone already, or another has its name."""
        key, uid = item.key, item.metadata.uid
        wanted = {"preconditions": {"uid": uid}, "propagationPolicy": "Background", **(options or {})}
        try:
            answer = await self.client.delete(gvr, key.name, namespace=key.namespace, options=wanted)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            return False
        if _is_left(answer):
            self._observed(gvr, answer)
        elif gvr in self.all:
            self.all[gvr].forget(key, uid)
        return True

    def _observed(self, gvr: GVR, answer: Obj) -> Obj:
        if gvr in self.all:
            self.all[gvr].observe(answer)
        return answer


def _by_controller(obj: Object) -> Iterable[Hashable]:
    """The controller's uid; an orphan is found by ``("", namespace)``."""
    uid = controller_uid(obj)
    return (uid,) if uid else (("", obj.metadata.namespace),)


def _by_namespace(obj: Object) -> Iterable[Hashable]:
    return (obj.metadata.namespace,)


def _is_left(answer: Obj) -> bool:
    """Does what DELETE answered still exist: on its way out, with grace or finalizers?"""
    meta = answer.get("metadata") or {}
    if answer.get("kind") == "Status" or not meta.get("deletionTimestamp"):
        return False
    return bool(meta.get("finalizers")) or meta.get("deletionGracePeriodSeconds") != 0
