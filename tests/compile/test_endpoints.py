"""Which addresses stand behind a service port."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.endpoints import PreparedSlice, compile_endpoints, prepare_ports


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


def test_prepared_slices_say_what_the_slices_said(objects: Any) -> None:
    leaving = objects.endpoint("10.244.0.3", terminating=True, ready=False)
    hinted = objects.endpoint("10.244.0.4", zones=["a"], nodes=["node2"])
    slices = [
        objects.slice_("10.244.0.2", leaving, hinted, "2001:db8::1", "10.244.0.256", name="a"),
        objects.slice_("10.244.0.3", "10.244.0.2", name="b"),
    ]
    prepared = [
        PreparedSlice(piece.api_version, piece.kind, piece.metadata, ports=prepare_ports(piece)) for piece in slices
    ]
    (found,) = compile_endpoints(objects.service(), prepared)
    assert (found,) == compile_endpoints(objects.service(), slices)
    assert [(e.ip, e.ready, e.for_zones) for e in found.endpoints] == [
        ("10.244.0.2", True, ()),
        ("10.244.0.3", True, ()),
        ("10.244.0.4", True, ("a",)),
    ]
    assert [piece.service_key for piece in prepared] == [piece.service_key for piece in slices]


@pytest.mark.parametrize(
    ("endpoint", "plain"),
    [({}, True), ({"ready": False}, False), ({"zones": ["a"]}, False), ({"nodes": ["node1"]}, False)],
)
def test_plain_is_a_port_with_nothing_to_choose(objects: Any, endpoint: Any, plain: bool) -> None:
    piece = objects.slice_("10.244.0.2", objects.endpoint("10.244.0.3", **endpoint))
    more = objects.slice_("10.244.0.4", name="more")
    assert [port.plain for port in prepare_ports(piece)] == [plain]
    assert [port.plain for port in compile_endpoints(objects.service(), [more, piece])] == [plain]


def test_a_slice_without_ports_still_tells_how_many_endpoints_there_are(objects: Any) -> None:
    piece = objects.slice_("10.244.0.2", "10.244.0.3", ports=[])
    assert [(port.port_name, len(port.endpoints)) for port in prepare_ports(piece)] == [(None, 2)]
