"""managedFields on every write: who owns which field afterwards (the sets themselves: ``machinery/apply``).

Taken after defaulting and before the server fills in what is its own (addresses, admission), as apiserver does: what
the server sets belongs to nobody. Deletion and binding leave managedFields alone.
"""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.objects import Obj, same
from seamark.machinery.apply import UPDATE, Entry, Views, Writer, is_reset, parse_entries, same_but_times, track_update
from seamark.machinery.clock import format_time
from seamark.machinery.fieldset import FieldSet, FieldSetError, make_set
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.wire import Request
from seamark.resources.registry import Resource

APPLY_PATCH = "application/apply-patch+yaml"
_UNTRACKED = ("binding",)
_STATUS = make_set(("f:status",))
_ALL_BUT_STATUS = make_set(
    ("f:spec",),
    *(("f:metadata", f"f:{name}") for name in ("labels", "ownerReferences", "finalizers", "deletionTimestamp")),
)


def is_apply(request: Request) -> bool:
    """Whether a PATCH is a server-side apply."""
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower() == APPLY_PATCH


def views_of(row: Resource, api_version: str, subresource: str) -> Views:
    """The kind in its versions, beginning with the one that the objects at hand are in."""

    def convert(obj: Obj, wanted: str) -> Obj | None:
        if obj.get("apiVersion") == wanted:
            return obj
        if row.custom is not None:
            return {**obj, "apiVersion": wanted} if row.custom.shape(wanted) is not None else None
        gvr = next((one for one in (row.gvr, *row.served_as) if one.api_version == wanted), None)
        return row.convert(obj, gvr) if gvr is not None and row.convert is not None else None

    shapes = row.custom.shape if row.custom is not None else None
    return Views(row.gvr.kind, api_version, convert, _ignored(row, subresource), shapes)


def _ignored(row: Resource, subresource: str) -> FieldSet:
    if subresource == "status":
        return _ALL_BUT_STATUS
    return _STATUS if "status" in row.subresources else {}


def own_fields(core: Core, call: Call, new: Obj, old: Obj | None) -> None:
    """Writes managedFields into ``new``, which may hold what the client sent; after an apply they are there already."""
    meta, target = new["metadata"], call.target
    if target.subresource in _UNTRACKED or (call.request.method == "PATCH" and is_apply(call.request)):
        return
    entries = _entries_to_keep(meta.pop("managedFields", None), old, target.subresource)
    if entries or old is None:
        writer = Writer(
            call.manager, UPDATE, target.gvr.api_version, target.subresource, format_time(core.clock.time())
        )
        views = views_of(target.row, target.row.gvr.api_version, target.subresource)
        entries = track_update(entries, without_entries(old or {}), new, views=views, writer=writer)
    set_entries(new, entries)


def _entries_to_keep(given: object, old: Obj | None, subresource: str) -> list[Entry]:
    """What the client sent, where it may and where it is good; else what was there. A reset takes everything away."""
    stored = entries_of(old or {})
    if subresource or given is None or given == stored:
        return stored
    if is_reset(given):
        return []
    try:
        return parse_entries(given) or stored
    except FieldSetError:
        return stored


def entries_of(obj: Obj) -> list[Entry]:
    return list((obj.get("metadata") or {}).get("managedFields") or ())


def without_entries(obj: Obj) -> Obj:
    """The object without managedFields; it shares everything else."""
    meta = obj.get("metadata") or {}
    if "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}


def copy_object(obj: Obj) -> Obj:
    """A copy that shares managedFields alone: they are large, and never changed in place."""
    copied: Obj = copy_json(without_entries(obj))
    if "managedFields" in (obj.get("metadata") or {}):  # empty is not absent: it is a reset
        copied["metadata"]["managedFields"] = obj["metadata"]["managedFields"]
    return copied


def set_entries(obj: Obj, entries: list[Entry]) -> None:
    obj["metadata"].pop("managedFields", None)
    if entries:
        obj["metadata"]["managedFields"] = entries


def changes_nothing(new: Obj, old: Obj) -> bool:
    """Whether a write would move nothing but times in managedFields; it is not stored then."""
    mine, kept = entries_of(new), entries_of(old)
    if mine != kept and not same_but_times(mine, kept):
        return False
    return same(without_entries(new), without_entries(old))
