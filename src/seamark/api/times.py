"""Times in a status that the server fills in where who writes it gives none."""

from __future__ import annotations

from collections.abc import Callable

from seamark.api.core import Call, Core
from seamark.api.objects import Obj
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CERTIFICATESIGNINGREQUESTS, GVR, PERSISTENTVOLUMES
from seamark.resources.access import entries, section

_PHASE_TIME = "lastPhaseTransitionTime"


def fill_times(core: Core, call: Call, new: Obj, old: Obj) -> None:
    fill = _FILLERS.get(call.target.row.gvr)
    if fill is not None:
        fill(new, old, format_time(core.clock.time()))


def _fill_conditions(new: Obj, old: Obj, now: str) -> None:
    for condition in entries(new, "status", "conditions"):
        kind = (condition.get("type"), condition.get("status"))
        known: Obj = next(
            (c for c in entries(old, "status", "conditions") if (c.get("type"), c.get("status")) == kind), {}
        )
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        since = condition.get("lastTransitionTime") or known.get("lastTransitionTime")
        condition["lastTransitionTime"] = since or now


def _fill_phase(new: Obj, old: Obj, now: str) -> None:
    """Of a volume: since when it has its phase."""
    status, before = section(new, "status"), section(old, "status")
    given, known = status.get(_PHASE_TIME), before.get(_PHASE_TIME)
    if status.get("phase") == before.get("phase"):
        if not given and known:
            status[_PHASE_TIME] = known
    elif given in (None, known):
        status[_PHASE_TIME] = now


_FILLERS: dict[GVR, Callable[[Obj, Obj, str], None]] = {
    CERTIFICATESIGNINGREQUESTS: _fill_conditions,
    PERSISTENTVOLUMES: _fill_phase,
}
