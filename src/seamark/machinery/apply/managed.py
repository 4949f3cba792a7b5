"""managedFields: who owns which fields, one entry per manager, operation, version and subresource.

Entries stay the plain objects they are in JSON. ``Views`` says how an object looks in each version that an entry may
name, since an entry's fields are those of its version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from seamark.machinery.apply.compare import Changes, compare, compare_written
from seamark.machinery.apply.shape import ANY_SHAPE, Shape, shape_of_kind
from seamark.machinery.fieldset import (
    FieldSet,
    FieldSetError,
    difference,
    make_set,
    parse_fields,
    union,
    without_branches,
)

Obj = dict[str, Any]
Entry = dict[str, Any]

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATERS = 10
ANCIENT = "ancient-changes"

_NOBODYS = make_set(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)
"""What is the server's or the object's own and never in an entry."""


class Writer(NamedTuple):
    """Who writes, what an entry is known by, and when: ``time`` is the text of a metav1.Time."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""

    def is_of(self, entry: Entry) -> bool:
        """An applier has one entry whatever version it used."""
        return (
            entry.get("manager", "") == self.manager
            and entry["operation"] == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == APPLY or entry["apiVersion"] == self.api_version)
        )

    def entry(self, fields: FieldSet) -> Entry:
        found = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        return {**found, "subresource": self.subresource} if self.subresource else found


def _only_version(obj: Obj, api_version: str) -> Obj | None:
    return obj if obj.get("apiVersion") == api_version else None


@dataclass(frozen=True, slots=True)
class Views:
    """A kind as the versions see it. ``convert`` answers None for a version that is not served (any more).

    ``ignored`` are the fields that this write leaves alone whatever it says: status, for a write that is not to it.
    """

    kind: str
    api_version: str
    convert: Callable[[Obj, str], Obj | None] = _only_version
    ignored: FieldSet = field(default_factory=dict)
    shapes: Callable[[str], Shape | None] | None = None  # of a kind that the schema table does not know

    def shape(self, api_version: str) -> Shape:
        if self.shapes is not None:
            return self.shapes(api_version) or ANY_SHAPE
        return shape_of_kind(api_version, self.kind)

    def at(self, obj: Obj, api_version: str) -> Obj | None:
        """The object in a version; ``{}``, the object that is not there, is the same in all."""
        return obj if not obj or api_version == self.api_version else self.convert(obj, api_version)

    def changes(self, old: Obj, new: Obj, api_version: str, *, as_they_stand: bool = False) -> Changes | None:
        before, after = self.at(old, api_version), self.at(new, api_version)
        if before is None or after is None:
            return None
        found = (compare if as_they_stand else compare_written)(before, after, self.shape(api_version))
        if not self.ignored:
            return found
        return Changes(without_branches(found.taken, self.ignored), without_branches(found.removed, self.ignored))


def parse_entries(value: Any) -> list[Entry]:
    """The entries of a body, their fields in canonical form. Raises FieldSetError."""
    if not isinstance(value, list):
        raise FieldSetError("metadata.managedFields: expected a list")
    found: list[Entry] = []
    for index, given in enumerate(value):
        if not isinstance(given, dict) or given.get("operation") not in (APPLY, UPDATE):
            raise FieldSetError(f"metadata.managedFields[{index}].operation: must be `Apply` or `Update`")
        if not given.get("apiVersion") or given.get("fieldsType") != "FieldsV1":
            raise FieldSetError(f"metadata.managedFields[{index}]: apiVersion and fieldsType FieldsV1 are required")
        entry = {**given, "fieldsV1": parse_fields(given.get("fieldsV1") or {})}
        writer = Writer(given.get("manager", ""), given["operation"], given["apiVersion"], given.get("subresource", ""))
        found = [other for other in found if not writer.is_of(other)]
        found.append(entry)
    return found


def is_reset(value: Any) -> bool:
    """``[]`` and ``[{}]`` take all ownership away."""
    return value in ([], [{}])


def track_update(entries: Sequence[Entry], old: Obj, new: Obj, *, views: Views, writer: Writer) -> list[Entry]:
    """The entries after ``writer`` made ``new`` out of ``old`` (``{}``: created) by anything but an apply."""
    changes = views.changes(old, new, writer.api_version)
    if changes is None or not (changes.taken or changes.removed):
        return list(entries)

    def changes_at(version: str) -> Changes | None:
        return changes if version == writer.api_version else views.changes(old, new, version)

    others = reduce_entries(entries, changes_at)
    mine = strip_fields(changes.taken)
    if not mine:
        return others
    found: list[Entry] = []
    for entry in others:
        if writer.is_of(entry):
            mine = union(entry["fieldsV1"], mine)
        else:
            found.append(entry)
    return sort_entries(cap_updaters([*found, writer.entry(mine)]))


def reduce_entries(entries: Iterable[Entry], changes_at: Callable[[str], Changes | None]) -> list[Entry]:
    """The entries without the fields that were changed or removed; without any left, or of a lost version, they go."""
    found: list[Entry] = []
    for entry in entries:
        changes = changes_at(entry["apiVersion"])
        if changes is None:
            continue
        fields = difference(difference(entry["fieldsV1"], changes.taken), changes.removed)
        if fields:
            found.append({**entry, "fieldsV1": fields})
    return found


def strip_fields(fields: FieldSet) -> FieldSet:
    """Without what nobody owns."""
    return difference(fields, _NOBODYS)


def identify(entry: Entry) -> str:
    """What an entry is known by, as text; apiserver sorts by it."""
    applied = entry["operation"] == APPLY
    parts = {
        "manager": entry.get("manager"),
        "operation": entry["operation"],
        "apiVersion": None if applied else entry["apiVersion"],
        "subresource": entry.get("subresource"),
    }
    return json.dumps({name: part for name, part in parts.items() if part}, ensure_ascii=False, separators=(",", ":"))


def sort_entries(entries: list[Entry]) -> list[Entry]:
    """Appliers first, then by age."""
    if len(entries) < 2:
        return entries
    return sorted(
        entries,
        key=lambda e: (
            e["operation"],
            e.get("time") or "",  # canonical text sorts by age
            e.get("manager", ""),
            e["apiVersion"],
            e.get("subresource", ""),
        ),
    )


def cap_updaters(entries: list[Entry]) -> list[Entry]:
    """Keeps the number of Update entries: the oldest of one version go together as ``ancient-changes``."""
    updaters = [entry for entry in entries if entry["operation"] == UPDATE]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return entries
    updaters.sort(key=lambda entry: (entry.get("time") or "", identify(entry)))
    gathered: dict[str, list[Entry]] = {}
    for entry in updaters:
        bucket = gathered.setdefault(entry["apiVersion"], [])
        surplus -= 1 if bucket else 0
        bucket.append(entry)
        if not surplus:
            break
    buckets = {version: bucket for version, bucket in gathered.items() if len(bucket) > 1}
    merged = [entry for bucket in buckets.values() for entry in bucket]
    found = [entry for entry in entries if not any(entry is gone for gone in merged)]
    for version, bucket in buckets.items():
        fields: FieldSet = {}
        for entry in bucket:
            fields = union(fields, entry["fieldsV1"])
        found.append(Writer(ANCIENT, UPDATE, version, time=bucket[-1].get("time") or "").entry(fields))
    return found


def same_but_times(left: Sequence[Entry], right: Sequence[Entry]) -> bool:
    return len(left) == len(right) and all(
        {**a, "time": ""} == {**b, "time": ""} for a, b in zip(left, right, strict=True)
    )
