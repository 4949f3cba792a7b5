"""Limits of a namespace: LimitRanges fill in and refuse what is created, ResourceQuotas are charged.

A quota is charged in its own status before the object is stored, by compare-and-set, so two creates at the same time
cannot both take the last unit. A write that fails afterwards leaves the quota too full for a moment: the quota
controller counts again. An update is charged for what it takes more (a claim that grows, a Service that wants ports).
"""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.objects import Obj, pack, unpack_entry
from seamark.machinery.status import StatusError, conflict, forbidden
from seamark.machinery.usage import Usage, growth_of, usage_of
from seamark.resources.core.limits import apply_defaults, find_violations
from seamark.resources.core.quota import QuotaError, charge
from seamark.store.base import RevisionMismatchError

_TRIES = 16
_LIMITED = ("Pod", "PersistentVolumeClaim")
_GROWING = ("persistentvolumeclaims", "services")


async def admit_limits(core: Core, call: Call, obj: Obj) -> None:
    """Raises Forbidden for what a LimitRange of the namespace does not allow."""
    kind = call.target.row.gvr.kind
    row = core.registry.by_kind("", "LimitRange")
    if kind not in _LIMITED or call.target.row.gvr.group or row is None:
        return
    page = await core.store.list(prefix=f"{row.key_prefix}{call.target.namespace}/")
    ranges = [unpack_entry(entry) for entry in page.entries]
    for limitrange in ranges if kind == "Pod" else ():
        apply_defaults(obj, limitrange)
    for limitrange in ranges:
        wrong = find_violations(kind, obj, limitrange)
        if wrong:
            raise _forbidden(call, obj, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


async def charge_quotas(core: Core, call: Call, obj: Obj) -> None:
    """Raises Forbidden for what a ResourceQuota of the namespace has no room for."""
    row = core.registry.by_kind("", "ResourceQuota")
    if row is None or not call.target.namespace:
        return
    page = await core.store.list(prefix=f"{row.key_prefix}{call.target.namespace}/")
    if not page.entries:
        return
    usage = usage_of(call.target.row.gvr, obj)
    for entry in page.entries:
        await _charge(core, call, obj, key=entry.key, usage=usage)


async def charge_growth(core: Core, call: Call, new: Obj, old: Obj) -> None:
    """The same for an update."""
    gvr, row = call.target.row.gvr, core.registry.by_kind("", "ResourceQuota")
    if row is None or gvr.group or gvr.resource not in _GROWING or call.target.subresource:
        return
    more = growth_of(usage_of(gvr, new), usage_of(gvr, old))
    if not more:
        return
    for entry in (await core.store.list(prefix=f"{row.key_prefix}{call.target.namespace}/")).entries:
        await _charge(core, call, new, key=entry.key, usage=more)


async def _charge(core: Core, call: Call, obj: Obj, *, key: str, usage: Usage) -> None:
    for _ in range(_TRIES):
        entry = await core.store.get(key=key)
        if entry is None:
            return
        quota = unpack_entry(entry)
        try:
            used = charge(quota, call.target.row.gvr, obj, usage)
        except QuotaError as error:
            raise _forbidden(call, obj, str(error)) from None
        if used is None or call.dry_run:
            return
        quota["status"]["used"] = used
        quota["metadata"]["resourceVersion"] = ""
        try:
            await core.store.update(key=key, value=pack(quota), expected=entry.revision)
        except RevisionMismatchError:
            continue
        return
    raise conflict("resourcequotas", key.rpartition("/")[2])


def _forbidden(call: Call, obj: Obj, why: str) -> StatusError:
    gvr, meta = call.target.row.gvr, obj["metadata"]
    return forbidden(gvr.resource, str(meta.get("name") or meta.get("generateName") or ""), why, group=gvr.group)
