"""What a DELETE does to an object: marks it, or removes it at once (apiserver's rest.BeforeDelete, pure).

Finalizers, the propagation policy, a namespace's own finalizers and a pod's grace period each make an object wait;
it then carries deletionTimestamp, and goes when the last of them is done (``writes.is_gone``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.api.objects import Obj
from seamark.api.options import refused
from seamark.machinery.clock import format_time, parse_time
from seamark.machinery.fielderrors import invalid, not_supported
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.status import bad_request, conflict
from seamark.resources.registry import Resource

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
POLICIES = ("Background", "Foreground", "Orphan")
DEFAULT_GRACE = 30


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions; ``policy`` empty = keep what the finalizers say already."""

    grace: int | None = None
    policy: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """``marked`` is the object to store and keep; None = remove now, and ``shown`` is what to answer."""

    marked: Obj | None
    shown: Obj


def parse_delete_options(body: Any, params: dict[str, str]) -> DeleteOptions:
    """From the body, with query parameters where it has none. Raises 400 and 422."""
    if not isinstance(body, dict):
        raise bad_request("the body of a DELETE must be a DeleteOptions object")
    if body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"the body of a DELETE must be a DeleteOptions object, not a {body['kind']}")
    grace = body.get("gracePeriodSeconds", params.get("gracePeriodSeconds"))
    policy = body.get("propagationPolicy") or params.get("propagationPolicy") or ""
    orphan = body.get("orphanDependents", params.get("orphanDependents"))
    dry_run = body.get("dryRun") or ([params["dryRun"]] if params.get("dryRun") else [])
    if orphan is not None and policy:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        raise refused("DELETE", [invalid("propagationPolicy", policy, detail)])
    if orphan is not None:
        policy = "Orphan" if orphan in (True, "true", "1") else "Background"
    if policy and policy not in POLICIES:
        raise refused("DELETE", [not_supported("propagationPolicy", policy, POLICIES)])
    if dry_run not in ([], ["All"]):
        raise refused("DELETE", [not_supported("dryRun", dry_run, ["All"])])
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        _grace(grace),
        policy,
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        bool(dry_run),
    )


def _grace(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds: Invalid value: {value!r}: must be a whole number") from None


def check_preconditions(row: Resource, obj: Obj, options: DeleteOptions) -> None:
    """Raises Conflict when the object is not the one that was meant."""
    meta = obj["metadata"]
    for what, wanted, found in (
        ("UID", options.uid, meta.get("uid", "")),
        ("ResourceVersion", options.resource_version, meta.get("resourceVersion", "")),
    ):
        if wanted and wanted != found:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            raise conflict(row.gvr.resource, meta["name"], group=row.gvr.group, why=why)


def plan_deletion(row: Resource, obj: Obj, options: DeleteOptions, *, now: float) -> Deletion:
    """What becomes of ``obj``, which is not changed itself."""
    new = copy_json(obj)
    meta = new["metadata"]
    _set_gc_finalizers(meta, options.policy or _default_policy(row, meta))
    grace = _pod_grace(new, options.grace) if row.gvr.kind == "Pod" else 0
    if row.begin_deletion and not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = format_time(now)
        row.begin_deletion(new, meta["deletionTimestamp"])
        return Deletion(new, new)
    if meta.get("deletionTimestamp"):
        grace = _shorten(meta, grace, options.grace)
    else:
        meta["deletionTimestamp"] = format_time(now + grace)
        meta["deletionGracePeriodSeconds"] = grace
        if meta.get("generation"):
            meta["generation"] += 1
    if row.gvr.kind == "Namespace":
        new.setdefault("status", {})["phase"] = "Terminating"
        if (new.get("spec") or {}).get("finalizers"):
            meta.pop("deletionGracePeriodSeconds", None)
            return Deletion(new, new)
    if grace or meta.get("finalizers"):
        return Deletion(new, new)
    return Deletion(None, new)


def _default_policy(row: Resource, meta: dict[str, Any]) -> str:
    """What a DELETE that says nothing means; what the object itself says counts more."""
    says = meta.get("deletionTimestamp") or any(f in (ORPHAN, FOREGROUND) for f in meta.get("finalizers") or ())
    return "Orphan" if row.orphans_by_default and not says else ""


def _set_gc_finalizers(meta: dict[str, Any], policy: str) -> None:
    if not policy:
        return
    kept = [f for f in meta.get("finalizers") or () if f not in (ORPHAN, FOREGROUND)]
    if policy != "Background":
        kept.append(ORPHAN if policy == "Orphan" else FOREGROUND)
    if kept:
        meta["finalizers"] = kept
    else:
        meta.pop("finalizers", None)


def _pod_grace(pod: Obj, asked: int | None) -> int:
    """Pods that run nowhere, or no longer, need no grace."""
    spec = pod.get("spec") or {}
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    if asked is None:
        given = spec.get("terminationGracePeriodSeconds")
        asked = DEFAULT_GRACE if given is None else int(given)
    return 1 if asked < 0 else asked


def _shorten(meta: dict[str, Any], grace: int, asked: int | None) -> int:
    """A second DELETE may shorten the grace period, never lengthen it."""
    running = int(meta.get("deletionGracePeriodSeconds") or 0)
    if (asked is None and grace) or grace >= running:
        return running
    begun = parse_time(meta["deletionTimestamp"]) - running
    meta["deletionTimestamp"] = format_time(begun + grace)
    meta["deletionGracePeriodSeconds"] = grace
    return grace
