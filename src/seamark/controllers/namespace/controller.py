"""Namespaces: wiring. What is left is counted by lists, not from the cache: a namespace must not go too early."""

from __future__ import annotations

from typing import Any

from seamark.client.informer import Informer
from seamark.controllers.caches import Caches
from seamark.controllers.namespace.plan import DeleteAll, Finalize, Wait, plan_namespace
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import EVENTS_V1, GVR, NAMESPACES
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey
from seamark.model.service import Namespace

LOOK_AGAIN = 5.0  # what has no informer here (Events) makes no event here
ROUNDS = 8


class NamespaceController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("namespace", self.reconcile, clock=caches.clock)
        caches.namespaces.on_change(self._on_namespace)
        caches.on_kind(self._begin)

    def _begin(self, gvr: GVR, informer: Informer[Any]) -> None:
        if gvr.namespaced:
            informer.on_change(self._on_content)

    @property
    def _contents(self) -> tuple[GVR, ...]:
        return tuple(gvr for gvr in (*self._caches.all, EVENTS_V1) if gvr.namespaced)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None, seen: float) -> None:
        if new is not None and new.metadata.deletion_timestamp is not None:
            self.controller.queue.add(new.key)

    def _on_content(self, old: Object | None, new: Object | None, seen: float) -> None:
        if new is None and old is not None:
            namespace = self._caches.namespaces.get(ObjectKey("", old.metadata.namespace))
            if namespace is not None and namespace.metadata.deletion_timestamp is not None:
                self.controller.queue.add(namespace.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        asked: frozenset[GVR] = frozenset()
        for _ in range(ROUNDS):  # what goes at once is gone when we look again
            namespace = self._caches.namespaces.get(key)
            if namespace is None or namespace.metadata.deletion_timestamp is None:
                return None
            left = {gvr: await self._count(gvr, key.name) for gvr in self._contents}
            match plan_namespace(namespace, left, asked):
                case DeleteAll(gvrs):
                    for gvr in gvrs:
                        options = {"propagationPolicy": "Background"}
                        await self._caches.client.delete(gvr, "", namespace=key.name, options=options)
                    asked |= frozenset(gvrs)
                case Finalize(finalizers):
                    await self._finalize(namespace, finalizers)
                    return None
                case Wait():
                    return LOOK_AGAIN
                case None:
                    return None
        return LOOK_AGAIN

    async def _count(self, gvr: GVR, namespace: str) -> int:
        try:
            return len(await self._caches.client.list(gvr, namespace=namespace, query={"limit": 1}))
        except StatusError as error:
            if error.code != 404:
                raise
            return 0  # a custom kind that is gone

    async def _finalize(self, namespace: Namespace, finalizers: tuple[str, ...]) -> None:
        obj = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace.metadata.name,
                "resourceVersion": namespace.metadata.resource_version,
            },
            "spec": {"finalizers": list(finalizers)},
        }
        try:
            await self._caches.client.update(NAMESPACES, obj, subresource="finalize")
        except StatusError as error:
            if error.code != 404:
                raise
