"""ClusterRole aggregation: wiring. Any change of a role may concern every aggregated one; there are few."""

from __future__ import annotations

import logging

from seamark.controllers.caches import Caches
from seamark.controllers.clusterroleaggregation.plan import ClusterRole, plan_aggregation
from seamark.controllers.runtime import Controller
from seamark.machinery.gvr import CLUSTERROLES
from seamark.machinery.selectors import SelectorError
from seamark.model.meta import ObjectKey

_log = logging.getLogger(__name__)


class ClusterRoleAggregationController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._aggregated: set[ObjectKey] = set()
        self.controller = Controller("clusterroleaggregation", self.reconcile, clock=caches.clock)
        caches.clusterroles.on_change(self._on_role)

    def _on_role(self, old: ClusterRole | None, new: ClusterRole | None, seen: float) -> None:
        if new is not None and new.aggregation_rule is not None:
            self._aggregated.add(new.key)
        for key in self._aggregated:
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        roles = self._caches.clusterroles
        role = roles.get(key)
        if role is None or role.aggregation_rule is None:
            self._aggregated.discard(key)
            return None
        try:
            rules = plan_aggregation(role, roles.items.values())
        except SelectorError as error:
            _log.warning("clusterrole not aggregated name=%s reason=%s", key.name, error)
            return None
        if rules is not None:
            await self._caches.patch(CLUSTERROLES, key, {"rules": rules})
        return None
