"""Placement by the other pods: together, apart, spread."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.scheduler.nodes import NodeState
from seamark.scheduler.plan import plan_placement
from seamark.scheduler.podspec import OfferingNode, RequestingPod
from seamark.testing.builders import as_kind, make_node, make_pod

HOST, ZONE = "kubernetes.io/hostname", "zone"


def node(name: str, zone: str = "") -> dict[str, Any]:
    made = make_node(name)
    if zone:
        made["metadata"]["labels"][ZONE] = zone
    return made


def pod(name: str, app: str = "web", **spec: Any) -> RequestingPod:
    return as_kind(RequestingPod, make_pod(name, labels={"app": app}, spec=spec))


def term(app: str = "web", key: str = HOST, **more: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def required(kind: str, *terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def preferred(kind: str, weighed: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [weighed]}}}


def spread(key: str = ZONE, **more: Any) -> dict[str, Any]:
    constraint = {"maxSkew": 1, "topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}, **more}
    return {"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule", **constraint}]}


@pytest.fixture
def nodes() -> dict[str, NodeState]:
    """a and b in zone x, c in zone y, d in none."""
    made = [node("a", "x"), node("b", "x"), node("c", "y"), node("d")]
    return {n["metadata"]["name"]: NodeState(as_kind(OfferingNode, n)) for n in made}


def test_apart_from_its_own_kind(nodes: dict[str, NodeState]) -> None:
    spec = required("podAntiAffinity", term())
    for wanted in ("a", "b", "c", "d"):
        one = pod(f"on-{wanted}", **spec)
        assert plan_placement(one, nodes).node == wanted
        nodes[wanted].add(one)
    assert plan_placement(pod("fifth", **spec), nodes).message == (
        "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."
    )


def test_pod_that_wants_to_be_alone_keeps_others_away(nodes: dict[str, NodeState]) -> None:
    nodes["a"].add(pod("hermit", "hermit", **required("podAntiAffinity", term("web", ZONE))))
    assert plan_placement(pod("web"), nodes).node == "c"
    assert plan_placement(pod("other", "other"), nodes).node == "b"
    nodes["a"].remove("uid-hermit")
    assert plan_placement(pod("web"), nodes).node == "a"


def test_together_with_another_in_its_zone(nodes: dict[str, NodeState]) -> None:
    spec = required("podAffinity", term("db", ZONE))
    refused = plan_placement(pod("web", **spec), nodes)
    assert refused.message == "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."
    nodes["c"].add(pod("db", "db"))
    assert plan_placement(pod("web", **spec), nodes).node == "c"


def test_first_of_a_group_may_start_anywhere_and_the_rest_follows(nodes: dict[str, NodeState]) -> None:
    spec = required("podAffinity", term("web", ZONE))
    first = pod("first", **spec)
    assert plan_placement(first, nodes).node == "a"
    nodes["c"].add(first)
    assert plan_placement(pod("second", **spec), nodes).node == "c"


def test_other_namespaces_count_only_when_named(nodes: dict[str, NodeState]) -> None:
    foreign = as_kind(RequestingPod, make_pod("db", namespace="shop", labels={"app": "db"}))
    nodes["b"].add(foreign)
    assert plan_placement(pod("w", **required("podAffinity", term("db"))), nodes).node == ""
    assert plan_placement(pod("w", **required("podAffinity", term("db", namespaces=["shop"]))), nodes).node == "b"
    assert plan_placement(pod("w", **required("podAffinity", term("db", namespaceSelector={}))), nodes).node == "b"
    unsupported = required("podAffinity", term("db", namespaceSelector={"matchLabels": {"a": "b"}}))
    assert "namespaceSelector is not supported" in plan_placement(pod("w", **unsupported), nodes).message


def test_spread_over_zones_within_the_skew(nodes: dict[str, NodeState]) -> None:
    chosen = []
    for n in range(4):
        one = pod(f"p{n}", **spread())
        chosen.append(plan_placement(one, nodes).node)
        nodes[chosen[-1]].add(one)
    assert [{"a": "x", "b": "x", "c": "y"}[name] for name in chosen] == ["x", "y", "x", "y"]
    nodes["c"].node = None
    nodes["a"].add(pod("more"))
    message = plan_placement(pod("last", **spread(minDomains=2)), nodes).message
    assert "1 node(s) didn't match pod topology spread constraints (missing required label)" in message
    assert "2 node(s) didn't match pod topology spread constraints" in message


def test_preferences_are_weighed_but_bind_nobody(nodes: dict[str, NodeState]) -> None:
    nodes["a"].add(pod("one"))
    nodes["b"].add(pod("two", "other"))
    apart = preferred("podAntiAffinity", {"weight": 100, "podAffinityTerm": term("web", ZONE)})
    assert plan_placement(pod("w", **apart), nodes).node == "c"
    likes = {"weight": 1, "preference": {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["b"]}]}}
    assert plan_placement(pod("w", **preferred("nodeAffinity", likes)), nodes).node == "b"
    near = preferred("podAffinity", {"weight": 1, "podAffinityTerm": term("web")})
    assert plan_placement(pod("w", **near), nodes).node == "a"
    nowhere = preferred("podAffinity", {"weight": 1, "podAffinityTerm": term("absent")})
    assert plan_placement(pod("w", **nowhere), nodes).node == "c"


def test_match_label_keys_compare_with_the_pod_itself(nodes: dict[str, NodeState]) -> None:
    def version(name: str, label: str, **spec: Any) -> RequestingPod:
        return as_kind(RequestingPod, make_pod(name, labels={"app": "web", "v": label}, spec=spec))

    nodes["a"].add(version("old", "1"))
    spec = required("podAntiAffinity", term(matchLabelKeys=["v"]))
    for name in ("b", "c", "d"):
        nodes[name].node = None
    assert plan_placement(version("new", "2", **spec), nodes).node == "a"
    assert plan_placement(version("same", "1", **spec), nodes).node == ""
