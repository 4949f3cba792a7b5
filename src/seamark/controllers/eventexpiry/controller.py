"""Event expiry: wiring. A sweep in pages, without an informer: nobody else here needs the Events in memory."""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.controllers.caches import Caches
from seamark.controllers.eventexpiry.plan import plan_expired
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import EVENTS_V1
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

PERIOD = 300.0
_PAGE = 500
_EVERYTHING = ObjectKey("", "")


class EventExpiry:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("eventexpiry", self.reconcile, clock=caches.clock, workers=1)
        self.controller.queue.add(_EVERYTHING)

    async def reconcile(self, _: ObjectKey) -> float | None:
        token = ""
        while True:
            query = {"limit": _PAGE, "continue": token or None}
            page: dict[str, Any] = msgspec.json.decode(await self._caches.client.list_raw(EVENTS_V1, query=query))
            for event in plan_expired(page.get("items") or (), now=self._caches.clock.time()):
                await self._remove(event["metadata"])
            token = page["metadata"].get("continue") or ""
            if not token:
                return PERIOD

    async def _remove(self, meta: dict[str, Any]) -> None:
        """Only as it was seen: one that was counted up meanwhile stays."""
        conditions = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        try:
            await self._caches.client.delete(
                EVENTS_V1, meta["name"], namespace=meta["namespace"], options={"preconditions": conditions}
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise
