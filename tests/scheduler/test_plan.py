"""Placement: why a node does not do, and which of those that do is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.scheduler.nodes import NodeState, requested
from seamark.scheduler.plan import Decision, is_ours, plan_placement, select_order
from seamark.scheduler.podspec import OfferingNode, RequestingPod
from seamark.testing.builders import as_kind, make_node, make_pod, owner


def pod(name: str = "p", **given: Any) -> RequestingPod:
    return as_kind(RequestingPod, make_pod(name, **given))


def asking(name: str = "p", **requests: str) -> RequestingPod:
    return pod(name, spec={"containers": [{"name": "c", "resources": {"requests": requests}}]})


def cluster(*nodes: dict[str, Any], pods: dict[str, list[RequestingPod]] | None = None) -> dict[str, NodeState]:
    found = {node["metadata"]["name"]: NodeState(as_kind(OfferingNode, node)) for node in nodes}
    for name, there in (pods or {}).items():
        for one in there:
            found[name].add(one)
    return found


def offering(name: str, **allocatable: str) -> dict[str, Any]:
    node = make_node(name)
    node["status"]["allocatable"] = allocatable
    return node


@pytest.mark.parametrize(
    ("node", "given", "why"),
    [
        pytest.param(make_node("a", unschedulable=True), {}, "node(s) were unschedulable", id="cordoned"),
        pytest.param(make_node("a", ready=False), {}, "node(s) were not ready", id="not ready"),
        pytest.param(
            make_node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
            {},
            "node(s) had untolerated taint {gpu: yes}",
            id="taint",
        ),
        pytest.param(
            make_node("a"),
            {"nodeSelector": {"zone": "x"}},
            "node(s) didn't match Pod's node affinity/selector",
            id="selector",
        ),
        pytest.param(
            make_node("a"),
            {"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
            "node(s) didn't have free ports for the requested pod ports",
            id="host port",
        ),
        pytest.param(
            make_node("a"),
            {"initContainers": [{"name": "s", "restartPolicy": "Always", "ports": [{"hostPort": 80}]}]},
            "node(s) didn't have free ports for the requested pod ports",
            id="host port of a sidecar",
        ),
    ],
)
def test_filters(node: dict[str, Any], given: dict[str, Any], why: str) -> None:
    taken = pod("taken", spec={"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]})
    there = cluster(node, pods={"a": [taken]})
    assert plan_placement(pod(spec=given), there) == Decision("", f"0/1 nodes are available: 1 {why}.")


@pytest.mark.parametrize(
    ("taken", "wanted", "free"),
    [
        pytest.param({"hostIP": "127.0.0.1"}, {"hostIP": "10.0.0.1"}, True, id="two addresses"),
        pytest.param({"hostIP": "10.0.0.1"}, {"hostIP": "10.0.0.1"}, False, id="the same address"),
        pytest.param({"hostIP": "10.0.0.1"}, {"hostIP": "10.0.0.1", "protocol": "UDP"}, True, id="two protocols"),
        pytest.param({"hostIP": "127.0.0.1"}, {}, False, id="all addresses"),
        pytest.param({"hostIP": "0.0.0.0"}, {"hostIP": "10.0.0.1"}, False, id="all addresses taken"),
    ],
)
def test_host_ports_collide_by_address_and_protocol(taken: dict[str, Any], wanted: dict[str, Any], free: bool) -> None:
    def listening(name: str, port: dict[str, Any]) -> RequestingPod:
        ports = [{"containerPort": 80, "hostPort": 54323, **port}]
        return pod(name, spec={"containers": [{"name": "c", "ports": ports}]})

    there = cluster(make_node("a"), pods={"a": [listening("first", taken)]})
    assert bool(plan_placement(listening("second", wanted), there).node) is free


def test_message_counts_every_reason() -> None:
    there = cluster(
        make_node("a", unschedulable=True),
        make_node("b", ready=False),
        make_node("c", unschedulable=True),
        offering("d", cpu="1", memory="1Gi"),
    )
    assert plan_placement(asking(cpu="2", memory="2Gi"), there).message == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
        "1 node(s) were not ready, 2 node(s) were unschedulable."
    )
    assert plan_placement(pod(), {}).message == "no nodes available to schedule pods"


def test_requests_are_counted_against_what_a_node_offers() -> None:
    there = cluster(offering("a", cpu="1", memory="1Gi"), pods={"a": [asking("x", cpu="600m")]})
    assert plan_placement(asking(cpu="400m"), there).node == "a"
    assert plan_placement(asking(cpu="401m"), there).message == "0/1 nodes are available: 1 Insufficient cpu."
    there["a"].remove("uid-x")
    assert plan_placement(asking(cpu="401m"), there).node == "a"


def test_node_that_offers_nothing_limits_only_the_number_of_pods() -> None:
    full = {"a": [pod(f"p{n}") for n in range(110)]}
    assert plan_placement(asking(cpu="1000"), cluster(make_node("a"))).node == "a"
    assert (
        plan_placement(pod(), cluster(make_node("a"), pods=full)).message == "0/1 nodes are available: 1 Too many pods."
    )
    assert plan_placement(pod(), cluster(offering("a", pods="111"), pods=full)).node == "a"


def test_unknown_extended_resource_is_offered_by_nobody() -> None:
    wanted = asking(**{"example.com/gpu": "1"})
    assert (
        plan_placement(wanted, cluster(make_node("a"))).message
        == "0/1 nodes are available: 1 Insufficient example.com/gpu."
    )
    assert plan_placement(wanted, cluster(offering("a", **{"example.com/gpu": "2"}))).node == "a"


def test_init_containers_count_by_the_largest() -> None:
    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("100m"), container("200m")],
        "initContainers": [container("500m"), container("400m"), container("50m", restartPolicy="Always")],
        "overhead": {"cpu": "10m"},
    }
    assert requested(pod(spec=spec)) == {"cpu": 510}


def test_pods_of_one_owner_spread_then_the_emptiest_node_then_the_name() -> None:
    def mine(name: str) -> RequestingPod:
        return pod(name, ownerReferences=[owner("ReplicaSet", "web")])

    there = cluster(make_node("b"), make_node("a"), make_node("c"))
    chosen = []
    for n in range(6):
        one = mine(f"p{n}")
        node = plan_placement(one, there).node
        chosen.append(node)
        there[node].add(one)
    assert chosen == ["a", "b", "c", "a", "b", "c"]
    there["a"].add(pod("foreign"))
    assert plan_placement(pod("lone"), there).node == "b"


def test_daemon_pod_goes_where_it_is_pinned_though_the_node_is_not_ready() -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}
    spec = {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    }
    there = cluster(make_node("a"), make_node("b", ready=False))
    assert plan_placement(pod(spec=spec, ownerReferences=[owner("DaemonSet", "agent")]), there).node == "b"
    assert plan_placement(pod(spec=spec), there).node == ""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, True, id="waiting"),
        pytest.param({"node": "a"}, False, id="bound"),
        pytest.param({"deletionTimestamp": "2023-11-14T22:13:20Z"}, False, id="going"),
        pytest.param({"spec": {"schedulerName": "mine"}}, False, id="another scheduler's"),
        pytest.param({"spec": {"schedulingGates": [{"name": "x"}]}}, False, id="gated"),
    ],
)
def test_is_ours(given: dict[str, Any], wanted: bool) -> None:
    assert is_ours(pod(**given)) is wanted


def test_order_is_priority_then_age() -> None:
    old, young = pod("old"), pod("young", creationTimestamp="2024-01-01T00:00:00Z")
    urgent = pod("urgent", creationTimestamp="2024-01-01T00:00:00Z", spec={"priority": 9})
    assert [p.metadata.name for p in select_order([young, old, urgent])] == ["urgent", "old", "young"]
