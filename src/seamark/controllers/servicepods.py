"""Which Services a pod belongs to, and which pods a Service selects, at the cost of the answer and not of the cluster.

A Service is filed under one term of its selector, a pod under each of its labels. A pod finds its Services by looking
up its own few labels; a Service finds its pods under the rarest of its terms.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from seamark.client.index import Index
from seamark.controllers.backends import has_backends, selects
from seamark.controllers.caches import Caches
from seamark.controllers.workloads import WorkloadPod
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.service import Service

Enqueue = Callable[[ObjectKey], None]


class ServicePods:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._services = Index(caches.services, _filed_under)
        self._pods = Index(caches.pods, _labelled)
        self._enqueue: list[Enqueue] = []
        caches.services.on_change(self._on_service)
        caches.pods.on_change(self._on_pod)
        caches.nodes.on_change(self._on_node)

    def subscribe(self, enqueue: Enqueue) -> None:
        """``enqueue`` is called with the key of every Service whose endpoints may have changed."""
        self._enqueue.append(enqueue)

    def pods_of(self, service: Service) -> list[WorkloadPod]:
        if not has_backends(service):
            return []
        namespace = service.metadata.namespace
        terms = [(namespace, k, v) for k, v in (service.spec.selector or {}).items()]
        rarest = min(terms, key=self._pods.count)
        return [pod for pod in self._pods.get(rarest) if selects(service, pod)]

    def services_of(self, pod: WorkloadPod) -> Iterator[ObjectKey]:
        for value in _labelled(pod):
            for service in self._services.get(value):
                if selects(service, pod):
                    yield service.key

    def _tell(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            for enqueue in self._enqueue:
                enqueue(key)

    def _on_service(self, old: Service | None, new: Service | None, seen: float) -> None:
        found = new or old
        assert found is not None
        self._tell([found.key])

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        if old is not None and new is not None and _shown(old) == _shown(new):
            return
        keys = {key for pod in (old, new) if pod is not None for key in self.services_of(pod)}
        self._tell(sorted(keys))

    def _on_node(self, old: Node | None, new: Node | None, seen: float) -> None:
        """A pod counts only while its Node exists, and carries the node's zone."""
        if old is not None and new is not None and old.labels == new.labels:
            return
        found = new or old
        assert found is not None
        pods = self._caches.pods_on.get(found.metadata.name)
        self._tell(sorted({key for pod in pods for key in self.services_of(pod)}))


def _filed_under(service: Service) -> Iterable[Hashable]:
    if not has_backends(service) or not service.spec.selector:
        return ()
    key, value = min(service.spec.selector.items())
    return ((service.metadata.namespace, key, value),)


def _labelled(pod: WorkloadPod) -> Iterable[Hashable]:
    return [(pod.metadata.namespace, k, v) for k, v in pod.labels.items()]


def _shown(pod: WorkloadPod) -> tuple[Any, ...]:
    """All that endpoints show of a pod."""
    spec = pod.spec
    return (
        pod.metadata.uid,
        pod.labels,
        pod.ips,
        pod.is_ready,
        pod.is_terminating,
        pod.is_finished,
        (spec.node_name, spec.hostname, spec.subdomain, spec.containers),
    )
