"""Conditions of workload statuses: find, set and remove them in a list; pure.

``set_condition`` keeps what did not change: the same status and reason leave the condition as it was, the same status
alone keeps lastTransitionTime. Otherwise a status would differ at every look and be written for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from seamark.controllers.workloads import Condition
from seamark.machinery.clock import format_time

Conditions = Sequence[Condition]


def find_condition(conditions: Conditions | None, type: str) -> Condition | None:
    return next((c for c in conditions or () if c.type == type), None)


def without_condition(conditions: Conditions | None, type: str) -> list[Condition]:
    return [c for c in conditions or () if c.type != type]


def set_condition(
    conditions: Conditions | None, wanted: Condition, *, now: float, refresh: bool = False
) -> list[Condition]:
    """``wanted`` comes without times. ``refresh`` moves lastUpdateTime though status and reason are the same."""
    known = find_condition(conditions, wanted.type)
    if known and (known.status, known.reason) == (wanted.status, wanted.reason) and not refresh:
        return list(conditions or ())
    at = format_time(now)
    since = known.last_transition_time if known and known.status == wanted.status else at
    new = msgspec.structs.replace(wanted, last_update_time=at, last_transition_time=since)
    return [*without_condition(conditions, wanted.type), new]
