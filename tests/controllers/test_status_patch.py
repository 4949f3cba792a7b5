"""The merge patch of a status leaves nothing of the old one behind."""

from __future__ import annotations

from seamark.controllers.workloads import Condition, ReplicaSetStatus, status_patch
from seamark.machinery.patch import apply_merge_patch
from seamark.model.meta import Projection


class Inner(Projection, frozen=True):
    gone: int = 0
    kept: int = 0


class Nested(Projection, frozen=True):
    inner: Inner | None = None
    named: dict[str, str] | None = None


def patched(old: Projection, new: Projection) -> object:
    status = status_patch(old, new)["status"]
    before = apply_merge_patch({}, status_patch(type(old)(), old)["status"])
    return apply_merge_patch(before, status)


def test_what_became_zero_goes() -> None:
    old = ReplicaSetStatus(replicas=2, ready_replicas=1, conditions=[Condition(type="A")])
    assert patched(old, ReplicaSetStatus(replicas=1)) == {"replicas": 1}


def test_however_deep_it_lies() -> None:
    old = Nested(Inner(gone=1, kept=1), {"a": "1", "b": "2"})
    new = Nested(Inner(kept=2), {"b": "2"})
    assert patched(old, new) == {"inner": {"kept": 2}, "named": {"b": "2"}}
