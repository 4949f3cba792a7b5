"""Whether a ResourceQuota has room for a new object; what things cost is in ``machinery.usage``."""

from __future__ import annotations

from seamark.machinery.gvr import GVR
from seamark.machinery.usage import Usage, is_concerned, nanos, sum_of
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Obj

_ASKED = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


class QuotaError(Exception):
    """No room; the text says of what, in Kubernetes' words."""


def charge(quota: Obj, gvr: GVR, obj: Obj, usage: Usage) -> Usage | None:
    """The quota's ``used`` with the object in it; None when it does not look at the object. Raises QuotaError."""
    hard, used = section(quota, "status", "hard"), section(quota, "status", "used")
    restricted = sorted(name for name in section(quota, "spec", "hard") if name in usage or _asks(gvr, name))
    if not restricted or not is_concerned(quota, gvr, obj):
        return None
    name = text(quota, "metadata", "name")
    missing = _unasked(obj, restricted) if gvr.resource == "pods" and not gvr.group else ""
    if missing:
        raise QuotaError(f"failed quota: {name}: must specify {missing}")
    if any(one not in used or one not in hard for one in restricted):
        raise QuotaError(f"status unknown for quota: {name}, resources: {','.join(restricted)}")
    after = {one: sum_of(used[one], usage.get(one, "0")) for one in restricted}
    exceeded = [one for one in restricted if nanos(usage.get(one, "0")) and nanos(after[one]) > nanos(hard[one])]
    if exceeded:
        shown = [",".join(f"{one}={given[one]}" for one in exceeded) for given in (usage, used, hard)]
        raise QuotaError(f"exceeded quota: {name}, requested: {shown[0]}, used: {shown[1]}, limited: {shown[2]}")
    return {**used, **after}


def _asks(gvr: GVR, name: str) -> bool:
    return gvr.resource == "pods" and not gvr.group and name in _ASKED


def _unasked(pod: Obj, restricted: list[str]) -> str:
    """Containers that do not say how much they need of what is limited."""
    missing: dict[str, list[str]] = {}
    for kind in ("containers", "initContainers"):
        for container in entries(pod, "spec", kind):
            for name in restricted:
                side, _, what = name.rpartition(".")
                if name in _ASKED and what not in section(container, "resources", side or "requests"):
                    missing.setdefault(name, []).append(str(container.get("name")))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
