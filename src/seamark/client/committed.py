"""When the change that a watch event tells of was committed, and how well that is known.

Seamark's API server tells it exactly (``committed`` of the watch event). Any other API server tells it to the second,
by the times of ``managedFields`` and ``creationTimestamp``: what is measured then is up to a second too long. When an
object was deleted no other server tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from seamark.client.client import WatchEvent
from seamark.machinery.clock import parse_time

EXACT, TO_THE_SECOND = "exact", "to_the_second"


class _Entry(msgspec.Struct):
    time: str | None = None


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    creation_timestamp: str | None = None
    managed_fields: list[_Entry] | None = None


class _Dated(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


_DATED = msgspec.json.Decoder(_Dated)


def commit_time(event: WatchEvent) -> tuple[float, str]:
    """Unix seconds and how well they are known; 0.0 where nothing tells."""
    if event.committed:
        return event.committed, EXACT
    if event.type == "DELETED":
        return 0.0, TO_THE_SECOND
    try:
        return _last_time(_DATED.decode(event.object).metadata), TO_THE_SECOND
    except (msgspec.MsgspecError, ValueError):
        return 0.0, TO_THE_SECOND


def _last_time(meta: _Meta) -> float:
    times = [meta.creation_timestamp, *(entry.time for entry in meta.managed_fields or [])]
    return max((parse_time(text) for text in times if text), default=0.0)


def written_at(item: Mapping[str, Any]) -> float:
    """When the object says it was last written, to the second; 0.0 where it does not."""
    try:
        return _last_time(msgspec.convert(item, _Dated).metadata)
    except (msgspec.MsgspecError, ValueError):
        return 0.0


def revision_of(event: WatchEvent) -> str:
    """Of the event, which for DELETED is that of the deletion."""
    try:
        return _DATED.decode(event.object).metadata.resource_version
    except msgspec.MsgspecError:
        return ""
