"""Who owns what: controller references, and which of the candidates a set claims, adopts or lets go.

The rules are those of the ControllerRefManager: an object belongs to at most one controller; a set adopts orphans
that match its selector, and releases its own that no longer match; a set being deleted adopts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from seamark.machinery.gvr import GVR
from seamark.machinery.selectors import LabelSelector, SelectorError, selector_from
from seamark.model.meta import Object, OwnerReference

T = TypeVar("T", bound=Object)

NO_OWNERS: tuple[OwnerReference, ...] = ()


class Claims(NamedTuple, Generic[T]):
    """``adopt`` and ``release`` are still to be written; adopted ones count as owned from then on."""

    owned: list[T]
    adopt: list[T]
    release: list[T]


def controller_of(obj: Object) -> OwnerReference | None:
    return next((ref for ref in obj.metadata.owner_references or NO_OWNERS if ref.controller), None)


def controller_uid(obj: Object) -> str:
    """The uid of the controller, empty for an orphan."""
    found = controller_of(obj)
    return found.uid if found else ""


def owner_reference(owner: Object, gvr: GVR) -> dict[str, Any]:
    return {
        "apiVersion": gvr.api_version,
        "kind": gvr.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def compile_selector(selector: dict[str, Any]) -> LabelSelector | None:
    """None for a selector that is malformed or empty: neither may select anything (apps/v1 requires one)."""
    try:
        found = selector_from(selector)
    except SelectorError:
        return None
    return None if found.everything else found


def select_claims(owner: Object, selector: LabelSelector, owned: Iterable[T], orphans: Iterable[T]) -> Claims[T]:
    ending = owner.metadata.deletion_timestamp is not None
    claims: Claims[T] = Claims([], [], [])
    for item in owned:
        if selector.matches(item.metadata.labels) or ending:
            claims.owned.append(item)
        elif item.metadata.deletion_timestamp is None:
            claims.release.append(item)
    for item in orphans:
        if not ending and item.metadata.deletion_timestamp is None and selector.matches(item.metadata.labels):
            claims.adopt.append(item)
    return claims


def adopt_patch(item: Object, reference: dict[str, Any]) -> dict[str, Any]:
    """The uid makes the write fail for another object of the same name, the resource version for a changed one."""
    return _owners_patch(item, [*_references(item), reference])


def release_patch(item: Object, uid: str) -> dict[str, Any]:
    return _owners_patch(item, [ref for ref in _references(item) if ref["uid"] != uid])


def _references(item: Object) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "name": ref.name,
            "uid": ref.uid,
            "controller": ref.controller,
            "blockOwnerDeletion": ref.block_owner_deletion,
        }
        for ref in item.metadata.owner_references or NO_OWNERS
    ]


def _owners_patch(item: Object, references: list[dict[str, Any]]) -> dict[str, Any]:
    meta = item.metadata
    return {
        "metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "ownerReferences": references or None,
        }
    }
