"""Garbage collection: what becomes of an object, by the state of its owners and its dependents."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.garbagecollector.plan import (
    Delete,
    DeleteDependents,
    DropFinalizer,
    DropOwners,
    OrphanDependents,
    OwnerState,
    plan_object,
)
from seamark.model.meta import Object
from seamark.testing.builders import as_kind, make_meta, owner

GOING = "2023-11-14T22:13:20Z"


def thing(*owners: str, **meta: Any) -> Object:
    references = [owner("ReplicaSet", name) for name in owners]
    return as_kind(Object, {"metadata": make_meta("x", ownerReferences=references or None, **meta)})


def dependent(*, blocking: bool = True, **meta: Any) -> Object:
    """One of ``thing``'s."""
    reference = {**owner("Pod", "x"), "uid": thing().metadata.uid, "blockOwnerDeletion": blocking}
    return as_kind(Object, {"metadata": make_meta("d", ownerReferences=[reference], **meta)})


@pytest.mark.parametrize(
    ("states", "dependents", "wanted"),
    [
        pytest.param([], 0, None, id="nobody's"),
        pytest.param(["there"], 0, None, id="owned"),
        pytest.param(["gone"], 0, Delete("Background"), id="owner gone"),
        pytest.param(["gone", "gone"], 3, Delete("Background"), id="all gone"),
        pytest.param(["waiting"], 0, Delete("Background"), id="owner waits"),
        pytest.param(["waiting"], 2, Delete("Foreground"), id="owner waits for a tree"),
    ],
)
def test_by_owners(states: list[OwnerState], dependents: int, wanted: object) -> None:
    obj = thing(*[f"o{n}" for n in range(len(states))])
    owners = list(zip(obj.metadata.owner_references or (), states, strict=True))
    assert plan_object(obj, owners, dependents=[dependent()] * dependents) == wanted


@pytest.mark.parametrize("state", ["gone", "waiting"])
def test_one_owner_left_keeps_the_object_and_loses_the_other(state: OwnerState) -> None:
    obj = thing("here", "away")
    refs = obj.metadata.owner_references or []
    found = plan_object(obj, [(refs[0], "there"), (refs[1], state)], dependents=[])
    assert isinstance(found, DropOwners)
    assert [ref["name"] for ref in found.patch["metadata"]["ownerReferences"]] == ["here"]
    assert found.patch["metadata"]["resourceVersion"] == "1"


@pytest.mark.parametrize(("finalizer", "policy"), [("orphan", "Orphan"), ("foregroundDeletion", "Foreground")])
def test_object_without_owners_goes_the_way_it_was_asked_to(finalizer: str, policy: str) -> None:
    obj = thing("o", finalizers=[finalizer])
    owners: list[Any] = [((obj.metadata.owner_references or [])[0], "gone")]
    assert plan_object(obj, owners, dependents=[dependent()]) == Delete(policy)


def test_foreground_waits_for_what_blocks_it() -> None:
    obj = thing(deletionTimestamp=GOING, finalizers=["foregroundDeletion", "mine"])
    assert plan_object(obj, [], dependents=[dependent(blocking=False), dependent()]) == DeleteDependents()
    found = plan_object(obj, [], dependents=[dependent(blocking=False)])
    assert isinstance(found, DropFinalizer)
    assert found.patch["metadata"]["finalizers"] == ["mine"]


def test_orphan_frees_its_dependents_first() -> None:
    obj = thing(deletionTimestamp=GOING, finalizers=["orphan"])
    assert plan_object(obj, [], dependents=[dependent()]) == OrphanDependents()
    found = plan_object(obj, [], dependents=[])
    assert isinstance(found, DropFinalizer)
    assert found.patch["metadata"]["finalizers"] is None


def test_object_on_its_way_out_is_left_alone() -> None:
    obj = thing("o", deletionTimestamp=GOING, finalizers=["somebody.else/x"])
    owners: list[Any] = [((obj.metadata.owner_references or [])[0], "gone")]
    assert plan_object(obj, owners, dependents=[]) is None


def test_in_a_circle_one_ceases_to_block_its_owner() -> None:
    obj = thing("o")
    owners: list[Any] = [((obj.metadata.owner_references or [])[0], "waiting")]
    ending = dependent(deletionTimestamp=GOING, finalizers=["foregroundDeletion"])
    found = plan_object(obj, owners, dependents=[ending])
    assert isinstance(found, Delete) and found.policy == "Foreground" and found.unblock is not None
    (reference,) = found.unblock["metadata"]["ownerReferences"]
    assert (reference["name"], reference["blockOwnerDeletion"]) == ("o", False)
