"""…/scale: the replicas of anything that has them, as an autoscaling/v1 Scale.

Built-in kinds keep them all in the same place; a custom kind's definition says where.
"""

from __future__ import annotations

from typing import Any

from seamark.api.body import conform, decode_as
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj, unpack_as
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
from seamark.machinery.status import bad_request, internal, invalid
from seamark.machinery.wire import Response
from seamark.resources.registry import Resource, ScalePaths

API_VERSION, KIND = "autoscaling/v1", "Scale"
_PATHS = ScalePaths(("spec", "replicas"), ("status", "replicas"))


async def get_scale(core: Core, call: Call) -> Response:
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    row = call.target.row
    obj = unpack_as(row, entry.value, entry.revision)
    if row.custom is not None and not isinstance(_value(obj, paths_of(row).spec), int):
        where = "." + ".".join(paths_of(row).spec)
        raise internal(f'the spec replicas field "{where}" does not exist')
    return respond_encoded(render_scale(row, obj), representation(call).media_type)


async def update_scale(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    body = decode_as(call, API_VERSION, KIND)
    check_place(call, body)
    written = await update_object(core, call, lambda current: _scaled(call, current, body), retry=False)
    return _respond(call, written)


async def patch_scale(core: Core, call: Call) -> Response:
    if is_apply(call.request):
        return await _apply_scale(core, call)
    check_patch_options(call.request)
    patched = select_patch(call, API_VERSION, KIND)

    def change(current: Obj) -> Obj:
        return _scaled(call, current, patched(render_scale(call.target.row, current)))

    written = await update_object(core, call, change, retry=True)
    return _respond(call, written)


async def _apply_scale(core: Core, call: Call) -> Response:
    check_apply_options(call.request)
    config = decode_config(call, API_VERSION, KIND)
    views = Views(KIND, API_VERSION, ignored=make_set(("f:status",)))
    row = call.target.row
    path = tuple(f"f:{name}" for name in paths_of(row).spec)

    def change(current: Obj) -> Obj:
        entries = entries_of(current)
        live = render_scale(row, current)
        applied = run_apply(core, call, live, scale_entries(entries, path), config=config, views=views)
        scale, _ = conform(row, applied.obj)
        check_place(call, scale)
        scaled = _scaled(call, current, scale)
        set_entries(scaled, parent_entries(entries, applied.entries, row.gvr.api_version, path))
        return scaled

    return _respond(call, await update_object(core, call, change, retry=True))


def _respond(call: Call, written: Written) -> Response:
    row = call.target.row
    scale = render_scale(row, unpack_as(row, written.value, written.revision))
    response = respond_encoded(scale, representation(call).media_type)
    response.warnings = written.warnings
    return response


def paths_of(row: Resource) -> ScalePaths:
    found = row.custom.scale if row.custom is not None else None
    return found or _PATHS


def _scaled(call: Call, current: Obj, scale: Obj) -> Obj:
    """Raises Invalid for replicas that are no count."""
    spec = scale.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    row, name = call.target.row, current["metadata"]["name"]
    if isinstance(replicas, bool) or not isinstance(replicas, int) or (replicas < 0 and row.custom is None):
        cause = invalid_cause("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid(KIND, name, [cause], group="autoscaling")
    *outer, last = paths_of(row).spec
    holder: Any = current
    for step in outer:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise bad_request(f"value cannot be set because .{'.'.join(outer)} is not a map[string]interface{{}}")
    holder[last] = replicas
    current["metadata"]["resourceVersion"] = scale["metadata"].get("resourceVersion") or ""
    return current


def render_scale(row: Resource, obj: Obj) -> dict[str, Any]:
    meta, paths = obj["metadata"], paths_of(row)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    absent = 1 if row.custom is None else 0
    found, ready = _value(obj, paths.spec), _value(obj, paths.status)
    selector = _selector(row, obj)
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {field: meta[field] for field in kept if field in meta},
        "spec": {"replicas": found if isinstance(found, int) else absent},
        "status": {"replicas": ready if isinstance(ready, int) else 0, **({"selector": selector} if selector else {})},
    }


def _selector(row: Resource, obj: Obj) -> str:
    if row.custom is not None:
        found = _value(obj, paths_of(row).selector)
        return found if isinstance(found, str) else ""
    return str(selector_from((obj.get("spec") or {}).get("selector") or {}))


def _value(obj: Obj, path: tuple[str, ...]) -> Any:
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
