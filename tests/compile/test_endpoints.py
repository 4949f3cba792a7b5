"""Which addresses stand behind a service port."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.endpoints import compile_endpoints


def shown(objects: Any, service: Any, *slices: Any) -> list[tuple[str, str, list[str]]]:
    found = compile_endpoints(service, slices)
    return [(p.port_name, p.protocol, [f"{e.ip}:{e.port}" for e in p.endpoints]) for p in found]


def test_ports_are_matched_by_name_and_protocol_and_numbered_by_the_slice(objects: Any) -> None:
    service = objects.service(
        "web", "10.96.0.9", {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}
    )
    first = objects.slice_(
        "10.244.0.2", ports=[{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "UDP"}]
    )
    second = objects.slice_(
        "10.244.0.3", ports=[{"name": "http", "port": 9090}, {"name": "dns", "port": 1, "protocol": "TCP"}]
    )
    assert shown(objects, service, first, second) == [
        ("http", "TCP", ["10.244.0.2:8080", "10.244.0.3:9090"]),
        ("dns", "UDP", ["10.244.0.2:5353"]),
    ]


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param([{"name": "other", "port": 8080}], id="another name"),
        pytest.param([{"port": 8080}], id="no name"),
        pytest.param([{"name": "http"}], id="no number"),
        pytest.param([{"name": "http", "port": 0}], id="number 0"),
        pytest.param([{"name": "http", "port": 65536}], id="a number no packet can hold"),
        pytest.param([], id="no port"),
    ],
)
def test_slice_ports_that_are_no_endpoints(objects: Any, ports: list[Any]) -> None:
    assert shown(objects, objects.service(), objects.slice_("10.244.0.2", ports=ports)) == [("http", "TCP", [])]


def test_unnamed_port_is_matched_by_the_empty_name(objects: Any) -> None:
    service = objects.service("web", "10.96.0.9", {"port": 80})
    assert shown(objects, service, objects.slice_("10.244.0.2", ports=[{"name": "", "port": 1}])) == [
        ("", "TCP", ["10.244.0.2:1"])
    ]


@pytest.mark.parametrize("first_leaves", [True, False])
def test_an_address_in_two_slices_counts_once_and_the_one_that_stays_wins(objects: Any, first_leaves: bool) -> None:
    leaving, staying = objects.endpoint("10.244.0.2", terminating=True, ready=False), objects.endpoint("10.244.0.2")
    order = (leaving, staying) if first_leaves else (staying, leaving)
    slices = [objects.slice_(e, name=f"web-{i}") for i, e in enumerate(order)]
    (port,) = compile_endpoints(objects.service(), slices)
    (endpoint,) = port.endpoints
    assert not endpoint.terminating
    assert endpoint.ready
    assert str(endpoint.origin) == f"EndpointSlice default/web-{1 if first_leaves else 0}@2"


def test_only_the_first_address_counts_and_names_are_no_addresses(objects: Any) -> None:
    two = objects.slice_({"addresses": ["10.244.0.2", "10.244.0.3"]}, {"addresses": []})
    names = objects.slice_("example.org", family="FQDN", name="fqdn")
    assert shown(objects, objects.service(), two, names) == [("http", "TCP", ["10.244.0.2:8080"])]


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        pytest.param({}, (True, True, False), id="nothing said"),
        pytest.param({"ready": False}, (False, True, False), id="serving unset is true"),
        pytest.param({"ready": False, "serving": False}, (False, False, False), id="not serving"),
        pytest.param({"ready": True, "serving": False}, (True, False, False), id="ready is believed"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, (False, True, True), id="leaving"),
    ],
)
def test_unset_conditions(objects: Any, conditions: dict[str, bool], wanted: tuple[bool, bool, bool]) -> None:
    (port,) = compile_endpoints(objects.service(), [objects.slice_(objects.endpoint("10.244.0.2", **conditions))])
    (endpoint,) = port.endpoints
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == wanted
