"""ReplicaSet: how many, which ones go first, what the status says."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.replicaset.plan import BURST, plan_replicas, plan_status, select_to_delete
from seamark.controllers.workloads import ReplicaSet, WorkloadPod
from seamark.machinery.clock import format_time
from seamark.testing.builders import START, as_kind, make_pod, make_workload

NOW = START + 100
GONE = {"deletionTimestamp": format_time(NOW)}


def replicaset(replicas: int = 3, **spec: Any) -> ReplicaSet:
    return as_kind(ReplicaSet, make_workload("ReplicaSet", "web-x", replicas=replicas, **spec))


def pod(name: str, **given: Any) -> WorkloadPod:
    return as_kind(WorkloadPod, make_pod(name, **given))


def finished(name: str) -> WorkloadPod:
    return as_kind(WorkloadPod, {**make_pod(name), "status": {"phase": "Failed"}})


@pytest.mark.parametrize(
    ("replicas", "pods", "create", "delete"),
    [
        pytest.param(3, [], 3, 0, id="from nothing"),
        pytest.param(3, [pod("a", ready=True), pod("b")], 1, 0, id="one short"),
        pytest.param(1, [pod("a", ready=True), pod("b", ready=True)], 0, 1, id="one too many"),
        pytest.param(2, [pod("a", ready=True), pod("b", **GONE)], 1, 0, id="one on its way out is none"),
        pytest.param(2, [pod("a", ready=True), finished("b")], 1, 0, id="a finished one is none"),
        pytest.param(5000, [], BURST, 0, id="not all at once"),
        pytest.param(0, [pod("a"), pod("b")], 0, 2, id="to nothing"),
    ],
)
def test_count(replicas: int, pods: list[WorkloadPod], create: int, delete: int) -> None:
    found = plan_replicas(replicaset(replicas), pods, now=NOW)
    assert (found.create, len(found.delete)) == (create, delete)


def test_set_being_deleted_makes_and_deletes_nothing() -> None:
    obj = make_workload("ReplicaSet", "web-x", replicas=3)
    obj["metadata"] |= GONE
    assert plan_replicas(as_kind(ReplicaSet, obj), [], now=NOW) == (0, (), None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("z"), pod("a", node="n"), id="unassigned"),
        pytest.param(pod("z", node="n"), pod("a", node="n", ready=False), id="pending before running"),
        pytest.param(pod("z", node="n", ready=False), pod("a", node="n", ready=True), id="not ready"),
        pytest.param(
            pod("z", node="n", ready=True, annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}),
            pod("a", node="n", ready=True),
            id="cheaper",
        ),
        pytest.param(
            pod("z", node="n", ready=True, creationTimestamp=format_time(START + 50)),
            pod("a", node="n", ready=True),
            id="younger",
        ),
    ],
)
def test_goes_first(first: WorkloadPod, second: WorkloadPod) -> None:
    assert [p.metadata.name for p in select_to_delete([second, first])] == ["z", "a"]


def test_crowded_node_gives_first() -> None:
    pods = [pod("a", node="n1", ready=True), pod("b", node="n2", ready=True), pod("c", node="n2", ready=True)]
    assert {p.metadata.name for p in select_to_delete(pods)[:2]} == {"b", "c"}


def test_ready_for_a_shorter_time_goes_first() -> None:
    old, new = make_pod("a", node="n", ready=True), make_pod("z", node="n", ready=True)
    new["status"]["conditions"][0]["lastTransitionTime"] = format_time(START + 50)
    assert select_to_delete([as_kind(WorkloadPod, old), as_kind(WorkloadPod, new)])[0].metadata.name == "z"


def test_status_counts_and_min_ready_seconds() -> None:
    late = make_pod("late", ready=True)
    late["status"]["conditions"][0]["lastTransitionTime"] = format_time(NOW - 5)
    pods = [
        pod("a", ready=True),
        as_kind(WorkloadPod, late),
        pod("b", ready=False),
        pod("c", labels={"app": "web", "x": "y"}),
    ]
    rs = replicaset(4, minReadySeconds=30)
    status = plan_status(rs, pods, failure="", now=NOW)
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (4, 2, 1)
    assert status.fully_labeled_replicas == 4
    assert status.observed_generation == 1
    assert plan_replicas(rs, pods, now=NOW).again == 25.0


def test_failure_to_create_is_a_condition_and_goes_again() -> None:
    rs = replicaset()
    failed = plan_status(rs, [], failure="quota", now=NOW)
    (condition,) = failed.conditions or []
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "ReplicaFailure",
        "True",
        "FailedCreate",
        "quota",
    )
    assert plan_status(rs, [], failure="", now=NOW).conditions is None
