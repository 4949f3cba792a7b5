"""Which zones and nodes endpoints are meant for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.controllers.endpointslice.hints import measure_zones, plan_shares, plan_zones, select_close_hints
from seamark.controllers.endpointslice.plan import plan_slices
from seamark.model.endpointslice import Endpoint, EndpointConditions, EndpointHints, EndpointSlice, ForZone
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.model.service import Service
from seamark.testing.builders import as_kind, make_meta, make_pod, make_service

ZONE = "topology.kubernetes.io/zone"
HERE = Endpoint(["10.0.0.1"], EndpointConditions(ready=True), node_name="n1", zone="east")


def service(how: str = "", mode: str = "") -> Service:
    made = make_service("web")
    made["spec"] |= {"trafficDistribution": how} if how else {}
    made["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": mode} if mode else {}
    return as_kind(Service, made)


def node(zone: str, cpu: str = "2", *, ready: bool = True, **labels: str) -> Node:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    meta = make_meta("n") | {"labels": {ZONE: zone, **labels} if zone else labels}
    status = {"conditions": conditions, "allocatable": {"cpu": cpu}}
    return as_kind(Node, {"metadata": meta, "status": status})


def zones_of(*nodes: Node) -> dict[str, float]:
    return measure_zones({ObjectKey("", str(n)): node for n, node in enumerate(nodes)})


@pytest.mark.parametrize(
    ("how", "endpoint", "hints"),
    [
        ("", HERE, None),
        ("PreferClose", HERE, EndpointHints([ForZone("east")])),
        ("PreferSameZone", HERE, EndpointHints([ForZone("east")])),
        ("PreferSameNode", HERE, EndpointHints([ForZone("east")], [ForZone("n1")])),
        ("PreferSameNode", Endpoint(["10.0.0.1"], node_name="n1"), EndpointHints(None, [ForZone("n1")])),
        ("PreferSameZone", Endpoint(["10.0.0.1"], node_name="n1"), None),
        ("PreferSameZone", Endpoint(["10.0.0.1"], EndpointConditions(ready=False), zone="east"), None),
    ],
)
def test_traffic_distribution(how: str, endpoint: Endpoint, hints: EndpointHints | None) -> None:
    assert select_close_hints(service(how), endpoint) == hints
    assert select_close_hints(service(how, mode="Auto"), endpoint) is None


def test_parts_of_zones_go_by_the_cpus_of_nodes_that_take_part() -> None:
    control = node("west", **{"node-role.kubernetes.io/control-plane": ""})
    assert zones_of(node("east", "3"), node("west", "500m"), node("west", "500m")) == {"east": 0.75, "west": 0.25}
    assert zones_of(node("east"), node("south"), control, node("", ready=False)) == {"east": 0.5, "south": 0.5}
    assert zones_of(node("east"), control) == {}, "one zone"
    assert zones_of(node("east"), node("south"), node("")) == {}, "a node of no zone"
    assert zones_of(node("east"), node("south", "0")) == {}, "a node of no CPU"


@pytest.mark.parametrize(
    ("zones", "endpoints", "possible"),
    [
        ({"a": 0.5, "b": 0.5}, 2, True),
        ({"a": 0.5, "b": 0.5}, 1, False),
        ({"a": 0.5, "b": 0.5}, 3, False),  # two would have to serve where one and a half are wanted
        ({"a": 0.5, "b": 0.5}, 5, False),
        ({"a": 0.5, "b": 0.5}, 7, True),
        ({"a": 0.4, "b": 0.4, "c": 0.2}, 6, True),
        ({}, 9, False),
    ],
)
def test_no_shares_that_overload(zones: dict[str, float], endpoints: int, possible: bool) -> None:
    assert bool(plan_shares(zones, endpoints)) is possible


@given(
    st.lists(st.sampled_from("abcd"), max_size=40), st.fixed_dictionaries({zone: st.integers(1, 64) for zone in "abc"})
)
def test_no_zone_is_far_from_its_share(placed: list[str], cpus: dict[str, int]) -> None:
    zones = {zone: cpu / sum(cpus.values()) for zone, cpu in cpus.items()}
    found = plan_zones([Endpoint([str(n)], zone=zone) for n, zone in enumerate(placed)], zones)
    shares = plan_shares(zones, len(placed))
    assert len(found) == (len(placed) if shares else 0)
    held = Counter(found)
    lacks = [shares[zone] - held[zone] for zone in shares]
    surpluses = [held[zone] - shares.get(zone, 0.0) for zone in held]
    assert not shares or max(lacks) < 1 or max(surpluses) < 1 or min(max(lacks), max(surpluses)) < 0.5


def test_an_even_placement_stays_where_it_is_and_an_uneven_one_is_evened_out() -> None:
    zones = {"a": 0.5, "b": 0.5}
    assert plan_zones([Endpoint([f"{n}"], zone="ab"[n % 2]) for n in range(4)], zones) == ["a", "b", "a", "b"]
    assert sorted(plan_zones([Endpoint([f"{n}"], zone="a") for n in range(4)], zones)) == ["a", "a", "b", "b"]


def test_slices_carry_the_hints_and_lose_them() -> None:
    nodes = {ObjectKey("", f"n{n}"): as_kind(Node, {**node_object(n, zone)}) for n, zone in enumerate(("east", "west"))}
    pods = [as_kind(Pod, make_pod(f"p{n}", ip=f"10.0.0.{n + 1}", node=f"n{n}", ready=True)) for n in range(2)]
    made = plan_slices(service(mode="Auto"), pods, nodes, []).create[0]
    assert [e["hints"] for e in made["endpoints"]] == [{"forZones": [{"name": z}]} for z in ("east", "west")]
    current = as_kind(EndpointSlice, {**made, "metadata": {**make_meta("web-1"), **made["metadata"]}})
    assert plan_slices(service(mode="Auto"), pods, nodes, [current]).update == []
    (update,) = plan_slices(service(), pods, nodes, [current]).update
    assert all("hints" not in e for e in update["endpoints"])
    (update,) = plan_slices(service("PreferSameNode"), pods, nodes, [current]).update
    assert update["endpoints"][1]["hints"] == {"forZones": [{"name": "west"}], "forNodes": [{"name": "n1"}]}


def node_object(number: int, zone: str) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "2"}}
    return {"metadata": make_meta(f"n{number}") | {"labels": {ZONE: zone}}, "status": status}
