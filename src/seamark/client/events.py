"""The event recorder: what `kubectl describe` shows under Events.

``record`` never waits and never fails its caller: events are written by one task in the background, the oldest are
dropped when more than ``BACKLOG`` wait. The same event again within ``WINDOW`` seconds raises the count of the first
one instead of making another (client-go tools/record aggregates the same way). What several programs tell alike
(``shared``) is one Event, whoever is first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.machinery.clock import Clock, format_time
from seamark.machinery.gvr import EVENTS_V1, GVR
from seamark.machinery.status import StatusError
from seamark.model.meta import Object

logger = logging.getLogger(__name__)

BACKLOG = 1000
REMEMBERED = 4096
WINDOW = 600.0


class _Event(NamedTuple):
    gvr: GVR
    about: Object
    type: str
    reason: str
    message: str
    at: float
    shared: bool = False


class _Written(NamedTuple):
    name: str
    times: int
    last: float


class EventRecorder:
    """``run`` writes until cancelled. A ``component`` is the source, such as ``deployment-controller``, and ``host``
    the node it runs on, where it is one of a node's (``kubelet, node1`` in describe).
    """

    def __init__(
        self, client: Client, *, clock: Clock, host: str = "", random_bits: Callable[[int], int] = secrets.randbits
    ) -> None:
        self._client = client
        self._clock = clock
        self._host = host
        self._random_bits = random_bits  # names: two recorders must not choose the same
        self._waiting: deque[tuple[str, _Event]] = deque(maxlen=BACKLOG)
        self._wake = asyncio.Event()
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()

    def record(  # noqa: PLR0913 - an event is these
        self,
        component: str,
        gvr: GVR,
        about: Object,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        shared: bool = False,
    ) -> None:
        type = "Warning" if warning else "Normal"
        self._waiting.append((component, _Event(gvr, about, type, reason, message, self._clock.time(), shared)))
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                component, event = self._waiting.popleft()
                try:
                    await self._write(component, event)
                except (StatusError, TransportError) as error:  # an event is a courtesy: never worth a retry
                    logger.debug("event lost reason=%s error=%s", event.reason, error)

    async def _write(self, component: str, event: _Event) -> None:
        meta = event.about.metadata
        same = (component, event.gvr.kind, meta.uid or meta.name, event.type, event.reason, event.message)
        known = self._written.get(same)
        if known is not None and event.at - known.last <= WINDOW and await self._count(known, event):
            self._remember(same, _Written(known.name, known.times + 1, event.at))
            return
        # The time first: kubectl shows the events of one second in the order of their names.
        name = f"{meta.name}.{int(event.at * 1_000_000):x}{self._random_bits(32):08x}"
        if event.shared:  # the same for all who tell it within a while; the others' is refused as a conflict
            said = f"{meta.uid} {event.reason} {event.message}"
            name = f"{meta.name}.{int(event.at / WINDOW):x}{crc32(said.encode()):08x}"
        await self._client.create(EVENTS_V1, _render(component, event, name, self._host))
        self._remember(same, _Written(name, 1, event.at))

    async def _count(self, known: _Written, event: _Event) -> bool:
        patch = {"count": known.times + 1, "lastTimestamp": format_time(event.at)}
        try:
            await self._client.patch(EVENTS_V1, known.name, patch, namespace=_namespace(event))
        except StatusError as error:
            if error.code != 404:
                raise
            return False
        return True

    def _remember(self, same: tuple[str, ...], written: _Written) -> None:
        self._written[same] = written
        self._written.move_to_end(same)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)


def _namespace(event: _Event) -> str:
    """Events about cluster-scoped objects live in default."""
    return event.about.metadata.namespace or "default"


def _render(component: str, event: _Event, name: str, host: str) -> dict[str, object]:
    meta, at = event.about.metadata, format_time(event.at)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": _namespace(event)},
        "involvedObject": {
            "apiVersion": event.gvr.api_version,
            "kind": event.gvr.kind,
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "reason": event.reason,
        "message": event.message,
        "type": event.type,
        "source": {"component": component, **({"host": host} if host else {})},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "reportingComponent": component,
        "reportingInstance": host,
    }
