"""Pods that no node will end."""

from __future__ import annotations

from typing import Any

from seamark.controllers.podgc.plan import plan_finished, plan_orphans, plan_unscheduled
from seamark.machinery.clock import format_time
from seamark.model.pod import Pod
from seamark.testing.builders import START, as_kind, make_pod


def pod(name: str, phase: str = "Running", **given: Any) -> Pod:
    return as_kind(Pod, {**make_pod(name, **given), "status": {"phase": phase}})


def test_pods_of_missing_nodes() -> None:
    assert [
        p.metadata.name for p in plan_orphans([pod("a", node="gone"), pod("b", node="here"), pod("c")], {"gone"})
    ] == ["a"]


def test_unscheduled_pods_on_their_way_out() -> None:
    going = {"deletionTimestamp": format_time(START)}
    assert [p.metadata.name for p in plan_unscheduled([pod("a", **going), pod("b", node="n", **going), pod("c")])] == [
        "a"
    ]


def test_oldest_finished_pods_beyond_the_limit() -> None:
    pods = [pod(f"p{n}", "Succeeded", creationTimestamp=format_time(START - n)) for n in range(4)]
    assert [p.metadata.name for p in plan_finished([*pods, pod("running")], kept=2)] == ["p3", "p2"]
