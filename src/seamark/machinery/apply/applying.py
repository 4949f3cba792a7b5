"""Server-side apply: a configuration laid over the live object, and what becomes of the ownership of its fields.

The manager owns what it applies, and nothing else any more: what it applied before and leaves out now goes, unless
somebody else owns it too. Changing what another manager owns is a conflict, unless it is forced; applying the same
value shares it. Follows structured-merge-diff's ``merge.Updater`` and apimachinery's ``managedfields``; ``kubectl``
may take over, without a conflict, what its own client-side apply has written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

from seamark.machinery.apply.compare import Changes, compare
from seamark.machinery.apply.extract import extract_fields, with_named_fields
from seamark.machinery.apply.items import as_written
from seamark.machinery.apply.managed import (
    APPLY,
    UPDATE,
    Entry,
    Views,
    Writer,
    identify,
    reduce_entries,
    sort_entries,
    strip_fields,
    track_update,
)
from seamark.machinery.apply.merge import merge, remove_fields
from seamark.machinery.apply.shape import Shape
from seamark.machinery.apply.typed import TypedError, check_typed
from seamark.machinery.fielderrors import quote
from seamark.machinery.fieldset import (
    FieldSet,
    Path,
    difference,
    escape_html,
    has,
    intersect,
    paths_of,
    render_path,
    union,
    without_branches,
)
from seamark.machinery.status import StatusError

Obj = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"
_BEFORE = "before-first-apply"
_ANNOTATIONS_MAX = 256 << 10


class Conflict(NamedTuple):
    """A field of the configuration that somebody else owns with another value."""

    entry: Entry
    path: Path

    @property
    def owner(self) -> str:
        found = quote(self.entry.get("manager", ""))
        if self.entry.get("subresource"):
            found += f" with subresource {quote(self.entry['subresource'])}"
        return found if self.entry["operation"] == APPLY else f"{found} using {self.entry['apiVersion']}"


class ApplyConflictError(Exception):
    """There are conflicts and the apply is not forced."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = sorted(conflicts, key=lambda one: identify(one.entry))

    def status(self) -> StatusError:
        """The 409 with a cause per field."""
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {c.owner}", "field": render_path(c.path)}
            for c in self.conflicts
        ]
        return StatusError(409, "Conflict", self._message(), details={"causes": causes})

    def _message(self) -> str:
        if len(self.conflicts) == 1:
            (only,) = self.conflicts
            return f"Apply failed with 1 conflict: conflict with {only.owner}: {render_path(only.path)}"
        lines: list[str] = []
        for one in self.conflicts:
            head = f"conflicts with {one.owner}:"
            lines += [head] if head not in lines else []
            lines.append(f"- {render_path(one.path)}")
        return f"Apply failed with {len(self.conflicts)} conflicts: " + "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Applied:
    """The object, without managedFields, and the entries that belong to it."""

    obj: Obj
    entries: list[Entry]


def apply_config(
    live: Obj, entries: Sequence[Entry], config: Obj, *, views: Views, writer: Writer, force: bool
) -> Applied:
    """``live`` is ``{}`` where there is nothing yet. Raises TypedError, ApplyConflictError."""
    check_typed(config, views.shape(writer.api_version))
    if not entries:
        before = Writer(_BEFORE, UPDATE, writer.api_version, writer.subresource, writer.time)
        entries = track_update([], {}, live, views=views, writer=before) if live else []
    try:
        applied = _apply(live, entries, config, views=views, writer=writer, force=force)
    except ApplyConflictError as error:
        if writer.manager != _KUBECTL:
            raise
        allowed = _written_by_client_side_apply(live, views)
        left = [one for one in error.conflicts if not has(allowed, one.path)]
        if left:
            raise ApplyConflictError(left) from None
        applied = _apply(live, entries, config, views=views, writer=writer, force=True)
    if writer.manager == _KUBECTL:
        _renew_last_applied(applied.obj, config)
    return applied


def _apply(live: Obj, entries: Sequence[Entry], config: Obj, *, views: Views, writer: Writer, force: bool) -> Applied:
    """Judged by the live object as Go writes it; what comes out keeps what Go would add or omit as it is stored."""
    shape = views.shape(writer.api_version)
    last = next((entry for entry in entries if writer.is_of(entry)), None)
    others = [entry for entry in entries if entry is not last]
    fields = without_branches(extract_fields(config, shape), views.ignored)
    owners = [*others, writer.entry(fields)]

    def lay_over(base: Obj) -> Obj:
        merged = merge(base, config, shape)
        return _prune(merged, owners, last, views, writer.api_version) if last is not None else merged

    written = as_written(live, shape)
    changes_at = cache(partial(views.changes, written, lay_over(written), as_they_stand=True))
    conflicts = _find_conflicts(others, changes_at)
    if conflicts and not force:
        raise ApplyConflictError(conflicts)
    kept = reduce_entries(others, changes_at)
    fields = strip_fields(fields)
    return Applied(lay_over(live), sort_entries([*kept, writer.entry(fields)] if fields else kept))


def _find_conflicts(entries: Sequence[Entry], changes_at: Callable[[str], Changes | None]) -> list[Conflict]:
    found: list[Conflict] = []
    for entry in entries:
        changes = changes_at(entry["apiVersion"])
        if changes is not None:
            found += [Conflict(entry, path) for path in paths_of(intersect(entry["fieldsV1"], changes.taken))]
    return found


def _prune(merged: Obj, entries: Sequence[Entry], last: Entry, views: Views, api_version: str) -> Obj:
    """Takes away what the manager applied last time and neither it nor anybody else claims now."""
    version = last["apiVersion"]
    found = _convert(merged, views, api_version, version)
    if found is None:
        return merged
    shape = views.shape(version)
    dropped = with_named_fields(last["fieldsV1"], shape)
    pruned = remove_fields(found, dropped, shape) or {}
    pruned = _add_back_owned(found, pruned, entries, views, version)
    gone = difference(_named_fields(found, shape), _named_fields(pruned, shape))
    pruned = remove_fields(found, intersect(gone, dropped), shape) or {}
    back = _convert(pruned, views, version, api_version)
    return merged if back is None else back


def _convert(obj: Obj, views: Views, source: str, target: str) -> Obj | None:
    return obj if source == target else views.convert(obj, target)


def _named_fields(obj: Obj, shape: Shape) -> FieldSet:
    return with_named_fields(extract_fields(obj, shape), shape)


def _add_back_owned(merged: Obj, pruned: Obj, entries: Sequence[Entry], views: Views, version: str) -> Obj:
    """``pruned`` and again everything that an entry claims, in the version of ``merged``."""
    owned: dict[str, FieldSet] = {version: {}}
    for entry in entries:
        owned[entry["apiVersion"]] = union(owned.get(entry["apiVersion"], {}), entry["fieldsV1"])
    for other, fields in owned.items():
        whole, rest = _convert(merged, views, version, other), _convert(pruned, views, version, other)
        if whole is None or rest is None:
            continue
        shape = views.shape(other)
        kept = union(_named_fields(rest, shape), with_named_fields(fields, shape))
        rest = remove_fields(whole, difference(_named_fields(whole, shape), kept), shape) or {}
        pruned = _convert(rest, views, other, version) or pruned
    return pruned


def _written_by_client_side_apply(live: Obj, views: Views) -> FieldSet:
    """The fields of the last client-side apply that are still as it left them."""
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    try:
        last = json.loads(annotations.get(LAST_APPLIED) or "null")
        shape = views.shape(views.api_version)
        check_typed(last, shape)
    except (ValueError, RecursionError, TypedError):
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != views.api_version:
        return {}
    changes = compare(last, as_written(live, shape), shape)
    return difference(difference(extract_fields(last, shape), changes.taken), changes.removed)


def _renew_last_applied(obj: Obj, config: Obj) -> None:
    """Client-side apply, should somebody go back to it, finds what server-side apply wrote last."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    meta = dict(config.get("metadata") or {})
    if isinstance(meta.get("annotations"), dict):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != LAST_APPLIED}
    text = json.dumps({**config, "metadata": meta}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    renewed = {**annotations, LAST_APPLIED: escape_html(text) + "\n"}
    if sum(len(key.encode()) + len(value.encode()) for key, value in renewed.items()) > _ANNOTATIONS_MAX:
        del renewed[LAST_APPLIED]
    obj["metadata"]["annotations"] = renewed
