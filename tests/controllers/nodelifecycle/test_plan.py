"""Silent nodes: conditions, taints, their pods."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.nodelifecycle.plan import eviction_in, plan_pod_conditions, plan_taints, plan_unknown
from seamark.controllers.workloads import WorkloadPod
from seamark.machinery.clock import format_time
from seamark.model.node import Node
from seamark.testing.builders import START, as_kind, make_node, make_pod

NOW = START + 100
AT = format_time(NOW)


def test_silent_node_is_unknown_in_all_that_only_it_knows() -> None:
    before = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": "x",
            "lastTransitionTime": "y",
        },
        {"type": "NetworkUnavailable", "status": "False"},
    ]
    found = plan_unknown(before, created="z", now=NOW)
    assert found is not None
    by_type = {c["type"]: c for c in found}
    assert by_type["Ready"] == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastHeartbeatTime": "x",
        "lastTransitionTime": AT,
    }
    assert by_type["NetworkUnavailable"]["status"] == "False"
    never = by_type["DiskPressure"]
    assert (never["reason"], never["lastHeartbeatTime"]) == ("NodeStatusNeverUpdated", "z")
    assert plan_unknown(found, created="z", now=NOW + 5) is None


@pytest.mark.parametrize(
    ("ready", "spec", "wanted"),
    [
        pytest.param(True, {}, [], id="well"),
        pytest.param(False, {}, [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")], id="not ready"),
        pytest.param(None, {}, [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")], id="unknown"),
        pytest.param(True, {"unschedulable": True}, [("unschedulable", "NoSchedule")], id="cordoned"),
    ],
)
def test_taints_follow_the_state_and_keep_foreign_ones(
    ready: bool | None, spec: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    foreign = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    stale = {"key": "node.kubernetes.io/not-ready", "effect": "PreferNoSchedule"}
    node = as_kind(Node, make_node("a", ready=ready, **spec))
    found = plan_taints(node, [foreign, stale], now=NOW)
    assert found is not None
    assert found[0] == foreign
    assert [(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in found[1:]] == wanted
    assert plan_taints(node, found, now=NOW + 50) is None


def test_pressure_keeps_new_pods_away() -> None:
    pressed = make_node("n")
    pressed["status"]["conditions"] += [
        {"type": "DiskPressure", "status": "True"},
        {"type": "PIDPressure", "status": "False"},
    ]
    found = plan_taints(as_kind(Node, pressed), [], now=NOW)
    assert found == [{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": AT}]


def test_ready_pod_of_a_lost_node_is_not_ready() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "y"}
    other = {"type": "Initialized", "status": "True"}
    assert plan_pod_conditions([other, ready], now=NOW) == [
        other,
        {"type": "Ready", "status": "False", "reason": "NodeNotReady", "lastTransitionTime": AT},
    ]
    assert plan_pod_conditions([{**ready, "status": "False"}], now=NOW) is None


@pytest.mark.parametrize(
    ("tolerations", "wanted"),
    [
        pytest.param([], 0.0, id="none"),
        pytest.param([{"key": "k", "operator": "Exists", "tolerationSeconds": 300}], 290.0, id="for a time"),
        pytest.param([{"key": "k", "operator": "Exists"}], None, id="for ever"),
        pytest.param([{"key": "k", "operator": "Exists", "tolerationSeconds": 3}], 0.0, id="over"),
        pytest.param([{"key": "other", "operator": "Exists"}], 0.0, id="another"),
    ],
)
def test_eviction(tolerations: list[dict[str, Any]], wanted: float | None) -> None:
    pod = as_kind(WorkloadPod, make_pod("p", spec={"tolerations": tolerations}))
    taints = [
        {"key": "k", "effect": "NoExecute", "timeAdded": format_time(NOW - 10)},
        {"key": "z", "effect": "NoSchedule"},
    ]
    assert eviction_in(pod, taints, now=NOW) == wanted
