"""Events -> which have told their story long enough (kube-apiserver --event-ttl: an hour after the last write)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamark.machinery.clock import parse_time

TTL = 3600.0


def plan_expired(events: Iterable[dict[str, Any]], *, now: float, ttl: float = TTL) -> list[dict[str, Any]]:
    """Events whose latest moment is longer ago than ``ttl``; one without any readable moment stays."""
    return [event for event in events if _latest(event, otherwise=now) + ttl <= now]


def _latest(event: dict[str, Any], *, otherwise: float) -> float:
    series, meta = event.get("series") or {}, event.get("metadata") or {}
    texts = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        meta.get("creationTimestamp"),
    )
    moments = []
    for text in texts:
        try:
            moments.append(parse_time(str(text or "")))
        except ValueError:
            continue
    return max(moments, default=otherwise)
