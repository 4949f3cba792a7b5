"""DaemonSet: which nodes have a pod, and how an update goes over them."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.daemonset.plan import plan_daemons, plan_status
from seamark.controllers.daemonset.pods import render_daemon_pod, target_node
from seamark.controllers.workloads import DaemonSet, WorkloadPod
from seamark.machinery.clock import format_time
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.testing.builders import START, as_kind, make_node, make_pod, make_template, make_workload

NOW = START + 100


def daemonset(*, template: dict[str, Any] | None = None, **spec: Any) -> DaemonSet:
    return as_kind(DaemonSet, make_workload("DaemonSet", "agent", replicas=None, template=template, **spec))


def nodes(*names: str, **spec: Any) -> dict[ObjectKey, Node]:
    return {ObjectKey("", name): as_kind(Node, make_node(name, **spec)) for name in names}


def pod(name: str, node: str, *, version: str = "v1", ready: bool | None = True, **given: Any) -> WorkloadPod:
    labels = {"app": "web", "controller-revision-hash": version}
    return as_kind(WorkloadPod, make_pod(name, node=node, ready=ready, labels=labels, **given))


def taint(key: str, effect: str) -> list[dict[str, str]]:
    return [{"key": key, "effect": effect}]


def test_one_pod_for_every_node() -> None:
    found = plan_daemons(daemonset(), nodes("a", "b", "c"), [pod("p", "b")], "v1", now=NOW)
    assert found.create == ("a", "c")
    assert found.delete == found.failed == ()


@pytest.mark.parametrize(
    ("taints", "runs", "stays"),
    [
        pytest.param(taint("x", "NoSchedule"), False, True, id="no schedule"),
        pytest.param(taint("x", "NoExecute"), False, False, id="no execute"),
        pytest.param(taint("node.kubernetes.io/unreachable", "NoExecute"), True, True, id="unreachable"),
        pytest.param(taint("node.kubernetes.io/unschedulable", "NoSchedule"), True, True, id="cordoned"),
    ],
)
def test_taints(taints: list[dict[str, str]], runs: bool, stays: bool) -> None:
    there = nodes("a", taints=taints)
    assert plan_daemons(daemonset(), there, [], "v1", now=NOW).create == (("a",) if runs else ())
    assert bool(plan_daemons(daemonset(), there, [pod("p", "a")], "v1", now=NOW).delete) is not stays


def test_node_selector_and_missing_node() -> None:
    ds = daemonset(template=make_template(nodeSelector={"kubernetes.io/hostname": "a"}))
    found = plan_daemons(ds, nodes("a", "b"), [pod("p", "b"), pod("q", "gone")], "v1", now=NOW)
    assert found.create == ("a",)
    assert [p.metadata.name for p in found.delete] == ["p", "q"]


def test_second_pod_on_a_node_goes_and_an_ended_one_is_replaced() -> None:
    ended = as_kind(WorkloadPod, {**make_pod("ended", node="b"), "status": {"phase": "Failed"}})
    young = pod("young", "a", creationTimestamp=format_time(START + 50))
    found = plan_daemons(daemonset(), nodes("a", "b"), [young, pod("old", "a"), ended], "v1", now=NOW)
    assert [p.metadata.name for p in found.delete] == ["young"]
    assert [p.metadata.name for p in found.failed] == ["ended"]
    assert found.create == (), "first it must be gone"


def test_pod_is_pinned_to_its_node_and_tolerates_its_troubles() -> None:
    made = render_daemon_pod(daemonset(), "a", "v1")
    assert target_node(as_kind(WorkloadPod, {**made, "metadata": {**made["metadata"], "name": "x"}})) == "a"
    assert "nodeName" not in made["spec"]
    keys = {t["key"] for t in made["spec"]["tolerations"]}
    assert {"node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready"} <= keys
    assert made["metadata"]["labels"]["controller-revision-hash"] == "v1"


def test_pod_that_waits_for_the_scheduler_counts_for_its_node() -> None:
    made = render_daemon_pod(daemonset(), "a", "v1")
    waiting = as_kind(WorkloadPod, {**made, "metadata": {**made["metadata"], "name": "x", "uid": "u"}})
    assert plan_daemons(daemonset(), nodes("a"), [waiting], "v1", now=NOW).create == ()


@pytest.mark.parametrize(
    ("pods", "strategy", "wanted"),
    [
        pytest.param([pod("p", "a"), pod("q", "b"), pod("r", "c")], {}, ["p"], id="one by one"),
        pytest.param([pod("p", "a"), pod("q", "b"), pod("r", "c")], {"maxUnavailable": 2}, ["p", "q"], id="two"),
        pytest.param([pod("p", "a"), pod("q", "b", ready=False), pod("r", "c")], {}, ["q"], id="broken ones first"),
        pytest.param([pod("p", "a", version="v2", ready=False), pod("q", "b"), pod("r", "c")], {}, [], id="waits"),
    ],
)
def test_rolling_update(pods: list[WorkloadPod], strategy: dict[str, Any], wanted: list[str]) -> None:
    ds = daemonset(updateStrategy={"type": "RollingUpdate", "rollingUpdate": strategy})
    found = plan_daemons(ds, nodes("a", "b", "c"), pods, "v2", now=NOW)
    assert [p.metadata.name for p in found.delete] == wanted


def test_on_delete_leaves_old_pods_alone() -> None:
    ds = daemonset(updateStrategy={"type": "OnDelete"})
    assert plan_daemons(ds, nodes("a"), [pod("p", "a")], "v2", now=NOW).delete == ()


def test_share_of_nodes_rounds_up() -> None:
    ds = daemonset(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "34%"}})
    pods = [pod("p", "a"), pod("q", "b"), pod("r", "c")]
    assert len(plan_daemons(ds, nodes("a", "b", "c"), pods, "v2", now=NOW).delete) == 2


SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("pods", "create", "delete"),
    [
        pytest.param([pod("p", "a"), pod("q", "b")], ["a"], [], id="the new one starts beside the old"),
        pytest.param(
            [pod("p", "a"), pod("P", "a", version="v2", ready=False), pod("q", "b")], [], [], id="waits for it"
        ),
        pytest.param(
            [pod("p", "a"), pod("P", "a", version="v2"), pod("q", "b")], ["b"], ["p"], id="then the old one goes"
        ),
        pytest.param(
            [pod("p", "a", ready=False), pod("q", "b", ready=False)], ["a", "b"], [], id="broken ones do not wait"
        ),
        pytest.param([pod("P", "a", version="v2"), pod("Q", "b", version="v2")], [], [], id="done"),
    ],
)
def test_surge(pods: list[WorkloadPod], create: list[str], delete: list[str]) -> None:
    found = plan_daemons(daemonset(updateStrategy=SURGE), nodes("a", "b"), pods, "v2", now=NOW)
    assert (list(found.create), [p.metadata.name for p in found.delete]) == (create, delete)


def test_third_pod_on_a_node_goes_even_in_a_surge() -> None:
    pods = [pod("p", "a"), pod("P", "a", version="v2"), pod("x", "a", creationTimestamp=format_time(START + 9))]
    found = plan_daemons(daemonset(updateStrategy=SURGE), nodes("a"), pods, "v2", now=NOW)
    assert [p.metadata.name for p in found.delete] == ["x"]


def test_status() -> None:
    pods = [pod("p", "a", version="v2"), pod("q", "b", ready=False), pod("r", "gone")]
    status = plan_status(daemonset(), nodes("a", "b", "c"), pods, "v2", now=NOW)
    assert (status.desired_number_scheduled, status.current_number_scheduled, status.number_misscheduled) == (3, 2, 1)
    assert (status.number_ready, status.number_available, status.number_unavailable) == (1, 1, 2)
    assert status.updated_number_scheduled == 1
