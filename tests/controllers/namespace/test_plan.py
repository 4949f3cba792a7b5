"""Namespace deletion: everything asked to go once, waited for, and only then let go."""

from __future__ import annotations

from seamark.controllers.namespace.plan import DeleteAll, Finalize, Wait, plan_namespace
from seamark.machinery.gvr import CONFIGMAPS, PODS, SECRETS
from seamark.model.service import Namespace
from seamark.testing.builders import as_kind, make_meta


def namespace(*, going: bool = True, finalizers: tuple[str, ...] = ("kubernetes",)) -> Namespace:
    meta = make_meta("shop", "", deletionTimestamp="2023-11-14T22:13:20Z" if going else None)
    return as_kind(Namespace, {"metadata": meta, "spec": {"finalizers": list(finalizers)}})


def test_living_namespace_is_left_alone() -> None:
    assert plan_namespace(namespace(going=False), {PODS: 1}, frozenset()) is None


def test_contents_are_asked_to_go_once_then_waited_for() -> None:
    left = {PODS: 2, CONFIGMAPS: 1, SECRETS: 0}
    assert plan_namespace(namespace(), left, frozenset()) == DeleteAll((PODS, CONFIGMAPS))
    assert plan_namespace(namespace(), {PODS: 2}, frozenset({PODS, CONFIGMAPS})) == Wait(2)


def test_empty_namespace_loses_only_our_finalizer() -> None:
    assert plan_namespace(namespace(finalizers=("kubernetes", "x/y")), {PODS: 0}, frozenset()) == Finalize(("x/y",))
    assert plan_namespace(namespace(finalizers=("x/y",)), {PODS: 0}, frozenset()) is None
