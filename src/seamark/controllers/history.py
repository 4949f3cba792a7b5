"""The versions of a set's template, kept as ControllerRevisions so that a set can go back; pure.

StatefulSets and DaemonSets share this. A template that is there already is not stored twice: its revision moves to
the top. Revisions beyond the limit go, the oldest first, but never one that a pod still has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from seamark.controllers.owners import owner_reference
from seamark.controllers.revision import CONTROLLER_REVISION_HASH, hash_template, same_template
from seamark.controllers.workloads import ControllerRevision
from seamark.machinery.gvr import GVR
from seamark.model.meta import Object

DEFAULT_LIMIT = 10


class History(NamedTuple):
    """``name`` is the revision of the present template; at most one of ``create`` and ``promote`` is to be written."""

    name: str
    create: dict[str, Any] | None
    promote: tuple[ControllerRevision, int] | None


def plan_history(
    owner: Object, gvr: GVR, template: dict[str, Any], revisions: Sequence[ControllerRevision], collisions: int | None
) -> History:
    ordered = sorted(revisions, key=lambda r: (r.revision, r.metadata.name))
    latest = ordered[-1].revision if ordered else 0
    same = [r for r in ordered if same_template(template_of(r), template)]
    if same:
        found = same[-1]
        return History(found.metadata.name, None, None if found.revision == latest else (found, latest + 1))
    version = hash_template(template, collisions)
    name = f"{owner.metadata.name}-{version}"
    labels = {**((template.get("metadata") or {}).get("labels") or {}), CONTROLLER_REVISION_HASH: version}
    return History(
        name,
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": owner.metadata.namespace,
                "labels": labels,
                "annotations": {k: v for k, v in owner.annotations.items() if k.startswith("kubernetes.io/")},
                "ownerReferences": [owner_reference(owner, gvr)],
            },
            "data": {"spec": {"template": {**template, "$patch": "replace"}}},
            "revision": latest + 1,
        },
        None,
    )


def template_of(revision: ControllerRevision) -> dict[str, Any]:
    template = (revision.data.get("spec") or {}).get("template") or {}
    return {k: v for k, v in template.items() if k != "$patch"}


def select_surplus(
    revisions: Sequence[ControllerRevision], used: Collection[str], limit: int | None
) -> list[ControllerRevision]:
    """``used`` are the names that the set's status or a pod refers to."""
    unused = sorted((r for r in revisions if r.metadata.name not in used), key=lambda r: r.revision)
    keep = DEFAULT_LIMIT if limit is None else limit
    return unused[: max(0, len(unused) - keep)]
