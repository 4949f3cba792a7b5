"""…/scale: the replicas of anything that has them, as an autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

from seamark.api.body import conform, decode_as
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj, unpack, unpack_entry
from seamark.api.options import check_write_options
from seamark.api.ownership import entries_of, is_apply, set_entries
from seamark.api.respond import representation, respond_encoded
from seamark.api.verbs.apply import check_apply_options, decode_config, run_apply
from seamark.api.verbs.patch import check_patch_options, select_patch
from seamark.api.writes import Written, missing, update_object
from seamark.machinery.apply import Views
from seamark.machinery.apply.scaling import parent_entries, scale_entries
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.fieldset import make_set
from seamark.machinery.selectors import selector_from
from seamark.machinery.status import invalid
from seamark.machinery.wire import Response

API_VERSION, KIND = "autoscaling/v1", "Scale"


async def get_scale(core: Core, call: Call) -> Response:
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    return respond_encoded(render_scale(unpack_entry(entry)), representation(call).media_type)


async def update_scale(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    body = decode_as(call, API_VERSION, KIND)
    check_place(call, body)
    written = await update_object(core, call, lambda current: _scaled(current, body), retry=False)
    return _respond(call, written)


async def patch_scale(core: Core, call: Call) -> Response:
    if is_apply(call.request):
        return await _apply_scale(core, call)
    check_patch_options(call.request)
    patched = select_patch(call, API_VERSION, KIND)

    def change(current: Obj) -> Obj:
        return _scaled(current, patched(render_scale(current)))

    written = await update_object(core, call, change, retry=True)
    return _respond(call, written)


async def _apply_scale(core: Core, call: Call) -> Response:
    check_apply_options(call.request)
    config = decode_config(call, API_VERSION, KIND)
    views = Views(KIND, API_VERSION, ignored=make_set(("f:status",)))

    def change(current: Obj) -> Obj:
        entries = entries_of(current)
        live = render_scale(current)
        applied = run_apply(core, call, live, scale_entries(entries), config=config, views=views)
        scale, _ = conform(applied.obj)
        check_place(call, scale)
        scaled = _scaled(current, scale)
        set_entries(scaled, parent_entries(entries, applied.entries, call.target.row.gvr.api_version))
        return scaled

    return _respond(call, await update_object(core, call, change, retry=True))


def _respond(call: Call, written: Written) -> Response:
    scale = render_scale(unpack(written.value, written.revision))
    response = respond_encoded(scale, representation(call).media_type)
    response.warnings = written.warnings
    return response


def _scaled(current: Obj, scale: Obj) -> Obj:
    """Raises Invalid for replicas that are no count."""
    spec = scale.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    name = current["metadata"]["name"]
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        cause = invalid_cause("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid(KIND, name, [cause], group="autoscaling")
    current.setdefault("spec", {})["replicas"] = replicas
    current["metadata"]["resourceVersion"] = scale["metadata"].get("resourceVersion") or ""
    return current


def render_scale(obj: Obj) -> dict[str, Any]:
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {field: meta[field] for field in kept if field in meta},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {"replicas": status.get("replicas", 0), "selector": str(selector_from(spec.get("selector") or {}))},
    }
