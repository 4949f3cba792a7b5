"""pods/NAME/eviction: a DELETE that a disruption budget may refuse (``kubectl drain``).

A budget that lets a pod go counts it in its own status before the pod is deleted, so two evictions at the same time
cannot both take the last one. Pods that do no work yet or any more go in any case, and so do unready ones where the
budget says so. The delete options are those of the body.
"""

from __future__ import annotations

from dataclasses import replace

from seamark.api.authz.admission import admit_removal
from seamark.api.body import decode_as
from seamark.api.core import Call, Core
from seamark.api.deletion import parse_delete_options
from seamark.api.metadata import check_place
from seamark.api.objects import Obj, unpack_entry
from seamark.api.respond import respond_success
from seamark.api.verbs.delete import delete_object
from seamark.api.writes import missing, update_object
from seamark.machinery.clock import format_time
from seamark.machinery.selectors import SelectorError, selector_from
from seamark.machinery.status import Cause, StatusError, internal
from seamark.machinery.wire import Response
from seamark.resources.registry import Resource

VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
PROCESSING_SECONDS = 10


async def eviction(core: Core, call: Call) -> Response:
    body = decode_as(call, "policy/v1", "Eviction", former="policy/v1beta1")  # which kubectl drain sent until 1.21
    check_place(call, body)
    options = parse_delete_options(body.get("deleteOptions") or {}, dict(reversed(call.request.query)))
    await admit_removal(core, call)
    await _spend(core, call, dry_run=options.dry_run)
    await delete_object(core, call.target, options)
    return respond_success(call, status=201)


async def _spend(core: Core, call: Call, *, dry_run: bool) -> None:
    """Takes the eviction out of the pod's budget. Raises 429, or 500 for a pod with two budgets."""
    row = core.registry.by_kind("policy", "PodDisruptionBudget")
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    pod = unpack_entry(entry)
    if row is None or _is_free(pod):
        return
    names = await _budgets_of(core, row, pod)
    if len(names) > 1:
        raise internal(SEVERAL)
    at = format_time(core.clock.time())

    def change(budget: Obj) -> Obj:
        return budget if _ignores(budget, pod) else _spent(budget, pod["metadata"]["name"], at)

    for name in names:
        target = replace(call.target, row=row, gvr=row.gvr, name=name, subresource="status")
        if not dry_run:
            await update_object(core, replace(call, target=target), change, retry=True)
            continue
        current = await core.store.get(key=target.key)
        if current is not None:
            change(unpack_entry(current))


def _is_free(pod: Obj) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Pending", "Succeeded", "Failed") or bool(pod["metadata"].get("deletionTimestamp"))


async def _budgets_of(core: Core, row: Resource, pod: Obj) -> list[str]:
    page = await core.store.list(prefix=f"{row.key_prefix}{pod['metadata']['namespace']}/")
    found = []
    for entry in page.entries:
        budget = unpack_entry(entry)
        selector = (budget.get("spec") or {}).get("selector")
        try:
            if selector is not None and selector_from(selector).matches(pod["metadata"].get("labels")):
                found.append(str(budget["metadata"]["name"]))
        except SelectorError:
            continue
    return found


def _ignores(budget: Obj, pod: Obj) -> bool:
    """An unready pod is no loss, where the budget says so or where enough others are healthy."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return desired > 0 and (status.get("currentHealthy") or 0) >= desired


def _spent(budget: Obj, pod: str, at: str) -> Obj:
    """Raises 429 when nothing is left, or when the status does not know of the last change yet."""
    meta, status = budget["metadata"], budget.setdefault("status", {})
    if (status.get("observedGeneration") or 0) < (meta.get("generation") or 0):
        text = f"The disruption budget {meta['name']} is still being processed by the server."
        raise _violated(text, retry=PROCESSING_SECONDS)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed <= 0:
        desired, healthy = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
        text = f"The disruption budget {meta['name']} needs {desired} healthy pods and has {healthy} currently"
        raise _violated(text)
    status["disruptionsAllowed"] = allowed - 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod: at}
    return budget


def _violated(text: str, *, retry: int = 0) -> StatusError:
    details: dict[str, object] = {"causes": [Cause("DisruptionBudget", text).as_dict()]}
    if retry:
        details["retryAfterSeconds"] = retry
    return StatusError(429, "TooManyRequests", VIOLATED, details=details)
