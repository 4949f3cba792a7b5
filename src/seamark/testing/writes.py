"""Writes to one kind's row as the API does them, without an API: what a kind fills in, keeps and refuses.

``Writes(ROW)`` gives ``create``, ``refused`` and ``update``; none changes what it is given. Causes are texts
``field: message``. Kinds that claim addresses and ports are given pools, fresh ones for each write unless a test hands
in its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from seamark.machinery.status import Cause
from seamark.resources.core.allocators import ServicePools
from seamark.resources.registry import Resource

Obj = dict[str, Any]


def shown(causes: Sequence[Cause]) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in causes]


def service_pools(*cidrs: str, ports: tuple[int, int] = (30000, 32767)) -> ServicePools:
    """Those of a cluster; the same choices in every run."""
    return ServicePools(cidrs or ("10.96.0.0/12",), ports, choose=random.Random(3).randrange)


@dataclass(frozen=True, slots=True)
class Writes:
    row: Resource
    pools: Callable[[], ServicePools] | None = None

    def create(self, obj: Obj, pools: ServicePools | None = None) -> Obj:
        """The object as it would be stored; a cause fails the test."""
        made, causes = self._created(obj, pools)
        assert causes == []
        return made

    def refused(self, obj: Obj, pools: ServicePools | None = None) -> list[str]:
        return self._created(obj, pools)[1]

    def prepared(self, obj: Obj) -> Obj:
        """Before anybody looks whether it is valid."""
        made = deepcopy(obj)
        for hook in (self.row.default, self.row.prepare_create):
            if hook:
                hook(made)
        return made

    def update(self, new: Obj, old: Obj, pools: ServicePools | None = None) -> tuple[Obj, list[str]]:
        """The object as it would be stored, and what is wrong with it."""
        row, new = self.row, deepcopy(new)
        if row.default:
            row.default(new)
        if row.prepare_update:
            row.prepare_update(new, old)
        causes = list(row.validate(new)) if row.validate else []
        causes += row.validate_update(new, old) if row.validate_update else []
        if not causes and self.pools and pools is None:
            pools = self.pools()
            pools.adopt(old)
        return new, shown(causes or self._allocated(new, old, pools))

    def _created(self, obj: Obj, pools: ServicePools | None) -> tuple[Obj, list[str]]:
        row, made = self.row, self.prepared(obj)
        causes = list(row.validate(made)) if row.validate else []
        causes += row.validate_create(made) if row.validate_create else []
        if not causes and self.pools and pools is None:
            pools = self.pools()
        return made, shown(causes or self._allocated(made, None, pools))

    def _allocated(self, new: Obj, old: Obj | None, pools: ServicePools | None) -> Sequence[Cause]:
        if pools is None or self.row.allocate is None:
            return []
        with pools.reserve(old) as claim:
            causes = self.row.allocate(new, old, claim)
            if not causes:
                claim.commit()
        return causes
