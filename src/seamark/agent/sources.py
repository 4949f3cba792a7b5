"""ConfigMaps and Secrets that the pods of this node use: one watch for each, shared, ended with its last user.

A watch of a single object, not of the collection: a node has no business with Secrets that none of its pods name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seamark.agent.configdata import ConfigMap, Configs, Ref, Secret
from seamark.agent.timers import cancel
from seamark.client.client import Client
from seamark.client.informer import Informer
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import CONFIGMAPS, SECRETS
from seamark.model.meta import ObjectKey

Wake = Callable[[], None]
Place = tuple[str, Ref]


@dataclass(slots=True)
class _Watch:
    informer: Informer[ConfigMap] | Informer[Secret]
    task: asyncio.Task[None]
    users: dict[str, Wake] = field(default_factory=dict)


class ConfigSources:
    """Users are pods, by uid; each is woken at every change of what it asked for."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._watches: dict[Place, _Watch] = {}

    async def read(self, user: str, namespace: str, refs: Iterable[Ref], wake: Wake) -> Configs:
        """What each reference is now, once all of them are known; from then on ``wake`` tells of changes."""
        watches = {ref: self._watch((namespace, ref), user, wake) for ref in refs}
        for watch in watches.values():
            await watch.informer.wait_synced()
        return {ref: watch.informer.get(ObjectKey(namespace, ref.name)) for ref, watch in watches.items()}

    def release(self, user: str) -> None:
        for place, watch in list(self._watches.items()):
            if watch.users.pop(user, None) is not None and not watch.users:
                watch.task.cancel()
                del self._watches[place]

    async def close(self) -> None:
        tasks = [watch.task for watch in self._watches.values()]
        self._watches.clear()
        await cancel(*tasks)

    def _watch(self, place: Place, user: str, wake: Wake) -> _Watch:
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = self._start(place)
        watch.users[user] = wake
        return watch

    def _start(self, place: Place) -> _Watch:
        namespace, ref = place
        selector = f"metadata.name={ref.name}"
        informer: Informer[ConfigMap] | Informer[Secret]
        if ref.kind == "ConfigMap":
            informer = Informer(
                self._client, CONFIGMAPS, ConfigMap, clock=self._clock, namespace=namespace, field_selector=selector
            )
        else:
            informer = Informer(
                self._client, SECRETS, Secret, clock=self._clock, namespace=namespace, field_selector=selector
            )
        watch = _Watch(informer, asyncio.create_task(informer.run(), name=f"watch {ref.kind} {namespace}/{ref.name}"))

        def told(old: object, new: object, seen: float) -> None:
            for wake in list(watch.users.values()):
                wake()

        informer.on_change(told)
        return watch
