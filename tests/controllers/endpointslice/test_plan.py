"""EndpointSlices: what a slice says of a pod, and that as little as possible is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.controllers.endpointslice.plan import CAPACITY, MANAGED_BY, MANAGER, Plan, plan_slices
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.model.service import Service
from seamark.testing.builders import as_kind, make_meta, make_node, make_pod, make_service

NODES = {ObjectKey("", "n1"): as_kind(Node, make_node("n1"))}


def service(name: str = "web", **given: Any) -> Service:
    return as_kind(Service, make_service(name, **given))


def pod(name: str, ip: str = "", **given: Any) -> Pod:
    return as_kind(
        Pod, make_pod(name, ip=ip or f"10.0.0.{int(name[1:]) + 1}", **{"node": "n1", "ready": True, **given})
    )


class Registry:
    """Takes plans in as the API would."""

    def __init__(self, svc: Service) -> None:
        self.service = svc
        self.slices: dict[str, EndpointSlice] = {}
        self.serial = 0

    def sync(self, *pods: Pod) -> Plan:
        plan = plan_slices(self.service, pods, NODES, list(self.slices.values()))
        for obj in [*plan.create, *plan.update]:
            self.serial += 1
            meta = obj["metadata"]
            name = meta.get("name") or f"{meta['generateName']}{self.serial:05}"
            self.slices[name] = as_kind(EndpointSlice, {**obj, "metadata": {**make_meta(name), **meta, "name": name}})
        for one in plan.delete:
            del self.slices[one.metadata.name]
        return plan

    def addresses(self) -> list[list[str]]:
        return [[a for e in s.endpoints or () for a in e.addresses or ()] for s in self.slices.values()]


def test_slice_of_a_ready_pod_is_whole() -> None:
    (made,) = Registry(service(labels={"team": "x"})).sync(pod("p0")).create
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["labels"] == {"team": "x", "kubernetes.io/service-name": "web", MANAGED_BY: MANAGER}
    assert made["metadata"]["ownerReferences"][0] | {"uid": ""} == {
        "apiVersion": "v1",
        "kind": "Service",
        "name": "web",
        "uid": "",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert made["addressType"] == "IPv4"
    assert made["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert made["endpoints"] == [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "p0", "uid": "uid-p0"},
        }
    ]


@pytest.mark.parametrize(
    ("given", "publish", "wanted"),
    [
        pytest.param({"ready": True}, False, (True, True, False), id="ready"),
        pytest.param({"ready": False}, False, (False, False, False), id="unready"),
        pytest.param(
            {"ready": True, "deletionTimestamp": "2023-11-14T22:13:20Z"}, False, (False, True, True), id="terminating"
        ),
        pytest.param({"ready": False}, True, (True, False, False), id="published"),
        pytest.param(
            {"ready": False, "deletionTimestamp": "2023-11-14T22:13:20Z"},
            True,
            (True, False, True),
            id="published terminating",
        ),
    ],
)
def test_conditions(given: dict[str, Any], publish: bool, wanted: tuple[bool, bool, bool]) -> None:
    (made,) = Registry(service(publishNotReadyAddresses=publish)).sync(pod("p0", **given)).create
    conditions = made["endpoints"][0]["conditions"]
    assert (conditions["ready"], conditions["serving"], conditions["terminating"]) == wanted


def test_service_without_pods_keeps_one_empty_slice() -> None:
    registry = Registry(service())
    (made,) = registry.sync().create
    assert (made["endpoints"], made["ports"]) == (None, None)
    assert registry.sync() == ([], [], [])
    plan = registry.sync(pod("p0"))
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0), "the empty one is used"
    plan = registry.sync()
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0), "and becomes empty again"


def test_headless_without_ports_has_null_ports_and_the_mark() -> None:
    (made,) = Registry(service(clusterIP="None", ports=[])).sync(pod("p0")).create
    assert made["ports"] is None
    assert len(made["endpoints"]) == 1
    assert made["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_pod_of_a_missing_node_is_left_out_unless_published() -> None:
    (made,) = Registry(service()).sync(pod("p0", node="nowhere")).create
    assert made["endpoints"] is None
    (made,) = Registry(service(publishNotReadyAddresses=True)).sync(pod("p0", node="nowhere")).create
    assert len(made["endpoints"]) == 1


def test_different_ports_need_different_slices() -> None:
    registry = Registry(service(ports=[{"name": "http", "port": 80, "targetPort": "web"}]))

    def serving(name: str, number: int) -> Pod:
        return pod(name, spec={"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": number}]}]})

    plan = registry.sync(serving("p0", 8080), serving("p1", 9090), pod("p2"))
    assert sorted((s["ports"] or [{}])[0].get("port", 0) for s in plan.create) == [0, 8080, 9090], (
        "an unresolved name leaves the port out"
    )


def test_both_families_have_slices_of_their_own() -> None:
    registry = Registry(service(ipFamilies=["IPv4", "IPv6"]))
    dual = make_pod("p0", ip="10.0.0.1", node="n1", ready=True)
    dual["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]
    plan = registry.sync(as_kind(Pod, dual))
    assert sorted((s["addressType"], s["endpoints"][0]["addresses"]) for s in plan.create) == [
        ("IPv4", ["10.0.0.1"]),
        ("IPv6", ["fd00::1"]),
    ]
    registry.service = service()
    plan = registry.sync(as_kind(Pod, dual))
    assert [s.address_type for s in plan.delete] == ["IPv6"]


def test_one_changed_pod_writes_one_slice() -> None:
    registry = Registry(service())
    pods = [pod(f"p{n}", f"10.0.{n // 250}.{n % 250}") for n in range(250)]
    registry.sync(*pods)
    assert sorted(map(len, registry.addresses())) == [50, 100, 100]
    plan = registry.sync(*pods[:77], *pods[78:])
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)
    plan = registry.sync(*pods)
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)
    assert registry.sync(*pods) == ([], [], [])


def test_label_of_the_service_reaches_its_slices() -> None:
    registry = Registry(service())
    registry.sync(pod("p0"))
    registry.service = service(labels={"service.kubernetes.io/service-proxy-name": "x"})
    (changed,) = registry.sync(pod("p0")).update
    assert changed["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] == "x"


@given(st.lists(st.sets(st.integers(0, 400), max_size=400), min_size=1, max_size=6))
def test_slices_hold_exactly_the_pods_whatever_came_before(history: list[set[int]]) -> None:
    registry = Registry(service())
    for present in history:
        pods = [pod(f"p{n}", f"10.0.{n // 250}.{n % 250}") for n in present]
        registry.sync(*pods)
        found = registry.addresses()
        assert sorted(a for slice in found for a in slice) == sorted(p.ips[0] for p in pods)
        assert max(map(len, found)) <= CAPACITY
        assert all(found) or len(found) == 1
        assert registry.sync(*pods) == ([], [], [])
