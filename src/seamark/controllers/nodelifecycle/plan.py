"""A node, and whether it still renews its lease -> its conditions, its taints, and what becomes of its pods.

A node that was not heard of for ``GRACE`` seconds is Unknown in everything only it can know. Taints follow the
conditions; pods of a node that is not ready are not ready either, at once, so that no Service sends them anything.
After the time that a pod tolerates (300 s unless it says otherwise) it is deleted, and its set makes another elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time, parse_time
from seamark.machinery.nodematch import tolerates
from seamark.model.node import Node, Taint

Obj = dict[str, Any]

GRACE = 40.0
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
}
OURS = (NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURES.values())
_KNOWN_BY_NODE = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def plan_unknown(conditions: Sequence[Obj], *, created: str, now: float) -> list[Obj] | None:
    """The conditions of a node that went silent; None where they say so already.

    One that never spoke is taken as heard of when its Node was ``created``.
    """
    found = {str(c.get("type")): c for c in conditions}
    if all(found.get(type, {}).get("status") == "Unknown" for type in _KNOWN_BY_NODE):
        return None
    at = format_time(now)
    changed = []
    for type in _KNOWN_BY_NODE:
        known = found.pop(type, {})
        never = "NodeStatusNeverUpdated", "Kubelet never posted node status."
        reason, message = ("NodeStatusUnknown", "Kubelet stopped posting node status.") if known else never
        since = known.get("lastTransitionTime") if known.get("status") == "Unknown" else at
        new = {"type": type, "status": "Unknown", "reason": reason, "message": message}
        if not known:
            new["lastHeartbeatTime"] = created
        changed.append({**known, **new, "lastTransitionTime": since})
    return [*found.values(), *changed]


def ready_status(node: Node) -> str:
    return next((c.status for c in node.status.conditions or () if c.type == "Ready"), "")


def plan_taints(node: Node, taints: Sequence[Obj], *, now: float) -> list[Obj] | None:
    """All of the node's taints as they should be, foreign ones kept; None where nothing changes."""
    wanted: list[Obj] = []
    key = {"True": "", "Unknown": UNREACHABLE}.get(ready_status(node), NOT_READY)
    if key:
        wanted += [{"key": key, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    pressed = {c.type for c in node.status.conditions or () if c.status == "True"}
    wanted += [{"key": key, "effect": "NoSchedule"} for kind, key in PRESSURES.items() if kind in pressed]
    if node.spec.unschedulable:
        wanted.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
    present = {(t.get("key"), t.get("effect")): t for t in taints if t.get("key") in OURS}
    if set(present) == {(t["key"], t["effect"]) for t in wanted}:
        return None
    stamped = [present.get((t["key"], t["effect"]), {**t, "timeAdded": format_time(now)}) for t in wanted]
    return [*(t for t in taints if t.get("key") not in OURS), *stamped]


def plan_pod_conditions(conditions: Sequence[Obj], *, now: float) -> list[Obj] | None:
    """The conditions of a pod whose node is not ready; None where it is not ready anyhow."""
    ready = next((c for c in conditions if c.get("type") == "Ready"), None)
    if ready is None or ready.get("status") != "True":
        return None
    new = {**ready, "status": "False", "reason": "NodeNotReady", "lastTransitionTime": format_time(now)}
    return [new if c is ready else c for c in conditions]


def eviction_in(pod: WorkloadPod, taints: Sequence[Obj], *, now: float) -> float | None:
    """Seconds until the pod must leave its node; None = it may stay."""
    waits = []
    for taint in taints:
        if taint.get("effect") != "NoExecute":
            continue
        shape = Taint(taint.get("key", ""), taint.get("value", ""), "NoExecute")
        matching = [t for t in pod.spec.tolerations or () if tolerates(t, shape)]
        seconds = [max(0, t["tolerationSeconds"]) for t in matching if t.get("tolerationSeconds") is not None]
        if matching and not seconds:
            continue
        since = parse_time(taint["timeAdded"]) if taint.get("timeAdded") else now
        waits.append(since + min(seconds, default=0) - now)
    return max(0.0, min(waits)) if waits else None
