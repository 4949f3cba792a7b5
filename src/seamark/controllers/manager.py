"""All controllers in one task: shared informers first, then everything that stands on them.

Controllers start only when every informer holds its first list: a controller that sees half a cluster would make what
is already there, or delete what it cannot see the owner of.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol

from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.controllers.accounttokens.controller import AccountTokenController
from seamark.controllers.bootstrap.controller import BootstrapController
from seamark.controllers.bootstraptokens.controller import BootstrapTokenController
from seamark.controllers.caches import Caches
from seamark.controllers.certificates.controller import CertificateController
from seamark.controllers.certificates.signer import Signer
from seamark.controllers.clusterroleaggregation.controller import ClusterRoleAggregationController
from seamark.controllers.cronjob.controller import CronJobController
from seamark.controllers.customresourcedefinition.controller import CustomResourceDefinitionController
from seamark.controllers.daemonset.controller import DaemonSetController
from seamark.controllers.deployment.controller import DeploymentController
from seamark.controllers.discovery import find_further_kinds
from seamark.controllers.disruption.controller import DisruptionController
from seamark.controllers.endpoints.controller import EndpointsController
from seamark.controllers.endpointslice.controller import EndpointSliceController
from seamark.controllers.endpointslicemirroring.controller import EndpointSliceMirroringController
from seamark.controllers.eventexpiry.controller import EventExpiry
from seamark.controllers.garbagecollector.controller import GarbageCollector
from seamark.controllers.horizontalpodautoscaler.controller import HorizontalPodAutoscalerController
from seamark.controllers.ipaddress.controller import IPAddressController
from seamark.controllers.job.controller import JobController
from seamark.controllers.namespace.controller import NamespaceController
from seamark.controllers.nodelifecycle.controller import NodeLifecycleController
from seamark.controllers.persistentvolume.controller import PersistentVolumeController
from seamark.controllers.podgc.controller import PodGarbageCollector
from seamark.controllers.replicaset.controller import ReplicaSetController
from seamark.controllers.resourcequota.controller import ResourceQuotaController
from seamark.controllers.rootca.controller import RootCaController
from seamark.controllers.runtime import Controller
from seamark.controllers.selection import KNOWN
from seamark.controllers.serviceaccount.controller import ServiceAccountController
from seamark.controllers.servicecidr.controller import ServiceCidrController
from seamark.controllers.servicepods import ServicePods
from seamark.controllers.settings import ControllerSettings
from seamark.controllers.statefulset.controller import StatefulSetController
from seamark.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from seamark.controllers.volumeprotection.controller import VolumeProtectionController
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import REPLICATIONCONTROLLERS

__all__ = ["ControllerSettings", "run_controllers"]


class _Part(Protocol):
    @property
    def controller(self) -> Controller[Any]: ...


async def run_controllers(client: Client, *, clock: Clock, settings: ControllerSettings, rng: random.Random) -> None:
    """Runs until cancelled. ``rng`` names the events."""
    caches = Caches(client, clock=clock)
    events = EventRecorder(client, clock=clock, random_bits=rng.getrandbits)
    parts = _build(caches, events, settings)
    further = await find_further_kinds(client, caches.all) if settings.is_guest else ()
    async with asyncio.TaskGroup() as group:
        group.create_task(caches.run())
        group.create_task(events.run())
        await caches.wait_synced()
        for gvr in further:
            caches.watch_custom(gvr)
        for part in parts:
            group.create_task(part.controller.run(), name=part.controller.name)


def _build(caches: Caches, events: EventRecorder, settings: ControllerSettings) -> list[_Part]:
    service_pods = ServicePods(caches)
    signer = Signer(settings.ca_pem.encode(), settings.ca_key_pem) if settings.ca_key_pem else None
    always: list[_Part] = [CustomResourceDefinitionController(caches, is_guest=settings.is_guest)]
    if not settings.is_guest:
        always += [BootstrapController(caches, settings), IPAddressController(caches, events), EventExpiry(caches)]
    named: dict[str, Callable[[], _Part]] = {
        "namespace-controller": lambda: NamespaceController(caches),
        "serviceaccount-controller": lambda: ServiceAccountController(caches),
        "serviceaccount-token-controller": lambda: AccountTokenController(caches, ca_pem=settings.ca_pem),
        "root-ca-certificate-publisher-controller": lambda: RootCaController(caches, ca_pem=settings.ca_pem),
        "certificatesigningrequest-controller": lambda: CertificateController(caches, signer),
        "bootstrap-token-controller": lambda: BootstrapTokenController(caches),
        "clusterrole-aggregation-controller": lambda: ClusterRoleAggregationController(caches),
        "endpoints-controller": lambda: EndpointsController(caches, service_pods),
        "endpointslice-controller": lambda: EndpointSliceController(caches, service_pods),
        "endpointslice-mirroring-controller": lambda: EndpointSliceMirroringController(caches, events),
        "service-cidr-controller": lambda: ServiceCidrController(caches),
        "deployment-controller": lambda: DeploymentController(caches, events),
        "replicaset-controller": lambda: ReplicaSetController(caches, events),
        "replicationcontroller-controller": lambda: ReplicaSetController(caches, events, gvr=REPLICATIONCONTROLLERS),
        "horizontal-pod-autoscaler-controller": lambda: HorizontalPodAutoscalerController(caches, events),
        "disruption-controller": lambda: DisruptionController(caches),
        "resourcequota-controller": lambda: ResourceQuotaController(caches),
        "persistentvolume-binder-controller": lambda: PersistentVolumeController(caches, events),
        "persistentvolume-protection-controller": lambda: VolumeProtectionController(caches),
        "statefulset-controller": lambda: StatefulSetController(caches, events),
        "daemonset-controller": lambda: DaemonSetController(caches, events),
        "job-controller": lambda: JobController(caches, events),
        "cronjob-controller": lambda: CronJobController(caches, events),
        "ttl-after-finished-controller": lambda: TtlAfterFinishedController(caches),
        "garbage-collector-controller": lambda: GarbageCollector(caches),
        "node-lifecycle-controller": lambda: NodeLifecycleController(caches, events),
        "pod-garbage-collector-controller": lambda: PodGarbageCollector(caches),
    }
    assert named.keys() == set(KNOWN), "selection.py names the same"
    return [*always, *(make() for name, make in named.items() if name in settings.enabled)]
