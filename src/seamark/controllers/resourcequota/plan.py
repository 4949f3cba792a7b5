"""A ResourceQuota and the objects of its namespace -> its status; the arithmetic is the API server's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seamark.machinery.gvr import GVR, PERSISTENTVOLUMECLAIMS, PODS, SERVICES
from seamark.machinery.usage import is_concerned, sum_of, usage_of

Obj = dict[str, Any]


def select_counted(hard: Iterable[str], gvrs: Iterable[GVR]) -> list[GVR]:
    """The collections that have to be looked through for what ``hard`` limits."""
    names, found = set(hard), []
    for gvr in gvrs:
        plain = f"count/{gvr.resource}.{gvr.group}" if gvr.group else f"count/{gvr.resource}"
        if plain in names or (not gvr.group and gvr.resource in names) or any(_is_of(gvr, name) for name in names):
            found.append(gvr)
    return found


def _is_of(gvr: GVR, name: str) -> bool:
    if gvr == SERVICES:
        return name.startswith("services.")
    if gvr == PERSISTENTVOLUMECLAIMS:
        return name == "requests.storage" or ".storageclass.storage.k8s.io/" in name
    of_pods = name.partition(".")[0] in ("cpu", "memory", "ephemeral-storage", "requests", "limits")
    return gvr == PODS and of_pods and name != "requests.storage" and "storageclass" not in name


def plan_quota(quota: Obj, objects: Mapping[GVR, Sequence[Obj]]) -> Obj:
    """The status: what is limited, and what of it is taken."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    used: Obj = dict.fromkeys(hard, "0")
    for gvr, found in objects.items():
        for obj in found:
            if not is_concerned(quota, gvr, obj):
                continue
            for name, value in usage_of(gvr, obj).items():
                if name in used:
                    used[name] = sum_of(used[name], value)
    return {"hard": dict(hard), "used": used}


def quota_patch(quota: Obj, status: Obj) -> Obj | None:
    """For /status; only while nobody has charged the quota meanwhile. None: the status says it already."""
    before = quota.get("status") or {}
    if before == status:
        return None
    patch = {field: {**dict.fromkeys(before.get(field) or ()), **status[field]} for field in ("hard", "used")}
    return {"metadata": {"resourceVersion": quota["metadata"]["resourceVersion"]}, "status": patch}
