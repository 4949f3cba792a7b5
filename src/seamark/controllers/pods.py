"""What a pod counts as, and what a controller makes of a template; pure.

The words are those of the apps controllers: *active* = neither finished nor on its way out; *available* = ready for at
least minReadySeconds.
"""

from __future__ import annotations

from typing import Any

from seamark.controllers.owners import owner_reference
from seamark.machinery.clock import parse_time
from seamark.machinery.gvr import GVR
from seamark.model.meta import Object
from seamark.model.pod import Pod


def is_active(pod: Pod) -> bool:
    return not pod.is_finished and not pod.is_terminating


def seconds_until_available(pod: Pod, min_ready: int, now: float) -> float | None:
    """0.0 = available; None = not ready, so only an event can make it so."""
    ready = pod.condition("Ready")
    if ready is None or ready.status != "True":
        return None
    if not min_ready:
        return 0.0
    if ready.last_transition_time is None:
        return None
    return max(0.0, parse_time(ready.last_transition_time) + min_ready - now)


def is_available(pod: Pod, min_ready: int, now: float) -> bool:
    return seconds_until_available(pod, min_ready, now) == 0.0


def next_availability(pods: list[Any], min_ready: int, now: float) -> float | None:
    """When to look again, since a ready pod becomes available without any event; None = no such pod."""
    waits = [wait for pod in pods if (wait := seconds_until_available(pod, min_ready, now))]
    return min(waits, default=None)


def created_at(obj: Object) -> float:
    return parse_time(obj.metadata.creation_timestamp) if obj.metadata.creation_timestamp else 0.0


def render_pod(template: dict[str, Any], owner: Object, gvr: GVR, *, name: str = "") -> dict[str, Any]:
    """A pod of ``template`` that ``owner`` controls; without a name the API adds five characters to the owner's."""
    meta = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "namespace": owner.metadata.namespace,
        "labels": dict(meta.get("labels") or {}),
        "ownerReferences": [owner_reference(owner, gvr)],
    }
    for field in ("annotations", "finalizers"):
        if meta.get(field):
            metadata[field] = meta[field]
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{owner.metadata.name}-"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(template.get("spec") or {})}
