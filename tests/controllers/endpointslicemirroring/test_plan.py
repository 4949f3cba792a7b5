"""Hand-made Endpoints as slices."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.endpoints.objects import Endpoints
from seamark.controllers.endpointslicemirroring.plan import MANAGED_BY, MANAGER, is_mirrored, plan_mirror
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.testing.builders import as_kind, make_meta, make_service

SUBSET = {
    "addresses": [{"ip": "192.0.2.1", "hostname": "a", "nodeName": "n1"}, {"ip": "2001:db8::1"}],
    "notReadyAddresses": [{"ip": "192.0.2.2"}],
    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
}


def endpoints(*subsets: dict[str, Any], **meta: Any) -> Endpoints:
    return as_kind(Endpoints, {"metadata": make_meta("db", **meta), "subsets": list(subsets)})


def slices(objs: list[dict[str, Any]]) -> list[EndpointSlice]:
    found = []
    for i, obj in enumerate(objs):
        found.append(
            as_kind(EndpointSlice, {**obj, "metadata": {**obj["metadata"], "name": f"db-{i}", "uid": f"u{i}"}})
        )
    return found


def test_one_slice_for_each_family_and_set_of_ports() -> None:
    other = {"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 53, "protocol": "UDP"}]}
    plan = plan_mirror(endpoints(SUBSET, other, labels={"a": "b"}), [])
    shown = [(s["addressType"], [e["addresses"][0] for e in s["endpoints"]], s["ports"]) for s in plan.create]
    http = [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert shown == [
        ("IPv4", ["192.0.2.1", "192.0.2.2"], http),
        ("IPv6", ["2001:db8::1"], http),
        ("IPv4", ["192.0.2.9"], [{"name": "", "port": 53, "protocol": "UDP"}]),
    ]
    first, second = plan.create[0]["endpoints"]
    assert (first["conditions"], first["hostname"], first["nodeName"]) == ({"ready": True}, "a", "n1")
    assert second["conditions"] == {"ready": False}
    meta = plan.create[0]["metadata"]
    assert meta["labels"] == {"a": "b", "kubernetes.io/service-name": "db", MANAGED_BY: MANAGER}
    assert meta["ownerReferences"][0]["kind"] == "Endpoints"


def test_what_is_there_already_is_not_written() -> None:
    given = endpoints(SUBSET)
    there = slices(plan_mirror(given, []).create)
    assert plan_mirror(given, there) == ([], [], [], 0)


def test_changed_addresses_change_one_slice_and_empty_ones_go() -> None:
    there = slices(plan_mirror(endpoints(SUBSET), []).create)
    less = {**SUBSET, "addresses": [{"ip": "192.0.2.1"}], "notReadyAddresses": None}
    plan = plan_mirror(endpoints(less), there)
    assert [one["metadata"]["name"] for one in plan.update] == ["db-0"]
    assert [one.metadata.name for one in plan.delete] == ["db-1"]
    assert plan.create == []


def test_no_more_than_a_thousand() -> None:
    many = {"addresses": [{"ip": f"10.0.{i // 250}.{i % 250 + 1}"} for i in range(1005)]}
    plan = plan_mirror(endpoints(many), [])
    assert (len(plan.create[0]["endpoints"]), plan.skipped) == (1000, 5)


@pytest.mark.parametrize(
    ("given", "service", "mirrored"),
    [
        pytest.param(endpoints(), make_service("db", selector=None), True, id="no selector"),
        pytest.param(endpoints(), make_service("db"), False, id="selector"),
        pytest.param(endpoints(), None, False, id="no Service"),
        pytest.param(
            endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}),
            make_service("db", selector=None),
            False,
            id="asked not to",
        ),
        pytest.param(
            endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}),
            make_service("db", selector=None),
            False,
            id="a lock",
        ),
    ],
)
def test_is_mirrored(given: Endpoints, service: dict[str, Any] | None, mirrored: bool) -> None:
    assert is_mirrored(given, as_kind(Service, service) if service else None) is mirrored
