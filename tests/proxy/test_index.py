"""Only what changed is compiled anew, and several changes of one Service are one."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig, PortKey
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.service import Service
from seamark.proxy.index import ServiceIndex

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
KEY = PortKey("default", "web", "http", "TCP")


def service(ip: str = "10.96.0.9", port: int = 80, name: str = "web") -> Service:
    spec = {"clusterIP": ip, "ports": [{"name": "http", "port": port}]}
    return codec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Service)


def piece(*ips: str, of: str = "web", name: str = "web-x", zone: str = "") -> EndpointSlice:
    meta = {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": of}}
    hints = {"hints": {"forZones": [{"name": zone}]}} if zone else {}
    body = {
        "metadata": meta,
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [ip], **hints} for ip in ips],
    }
    return codec.convert(body, EndpointSlice)


@pytest.fixture
def index() -> ServiceIndex:
    made = ServiceIndex(NODE, ("IPv4",))
    made.observe_service(None, service(), 1.0)
    made.observe_slice(None, piece("10.244.0.2"), 2.0)
    return made


def taken(index: ServiceIndex) -> dict[PortKey, Any]:
    return dict(index.take().ports["IPv4"])


def ips(rules: Any) -> list[str]:
    return [e.ip for e in rules.internal.endpoints]


def test_the_first_event_of_a_service_dates_its_change(index: ServiceIndex) -> None:
    pending = index.take()
    assert pending.seen == {ObjectKey("default", "web"): 1.0}
    assert ips(pending.ports["IPv4"][KEY]) == ["10.244.0.2"]
    assert not index.is_dirty


def test_what_came_and_went_again_is_no_change(index: ServiceIndex) -> None:
    index.take()
    before, after = piece("10.244.0.2"), piece("10.244.0.3")
    index.observe_slice(before, after, 3.0)
    index.observe_slice(after, before, 4.0)
    assert taken(index) == {}


def test_a_deleted_service_and_a_port_that_went(index: ServiceIndex) -> None:
    index.take()
    index.observe_service(service(), None, 3.0)
    assert taken(index) == {KEY: None}
    assert index.rules("IPv4") == {}
    assert taken(index) == {}


def test_slices_may_come_before_their_service() -> None:
    index = ServiceIndex(NODE, ("IPv4",))
    index.observe_slice(None, piece("10.244.0.2"), 1.0)
    assert taken(index) == {}
    index.observe_service(None, service(), 2.0)
    assert ips(taken(index)[KEY]) == ["10.244.0.2"]


def test_a_slice_may_move_to_another_service(index: ServiceIndex) -> None:
    index.observe_service(None, service("10.96.0.10", name="other"), 1.0)
    index.take()
    index.observe_slice(piece("10.244.0.2"), piece("10.244.0.2", of="other"), 3.0)
    found = taken(index)
    assert found[KEY].internal.action == "refuse"
    assert ips(found[KEY._replace(name="other")]) == ["10.244.0.2"]


def test_another_zone_decides_every_service_anew(index: ServiceIndex) -> None:
    index.observe_slice(None, piece("10.244.0.2", "10.244.0.4", zone="a"), 1.0)
    index.observe_slice(None, piece("10.244.0.3", name="web-y", zone="b"), 1.0)
    assert len(ips(taken(index)[KEY])) == 3
    assert index.observe_node(NodeConfig("node1", NODE.node_ips, NODE.pod_cidrs, NODE.service_cidrs, zone="b"), 5.0)
    assert ips(taken(index)[KEY]) == ["10.244.0.3"]
    assert not index.observe_node(index.node, 6.0)
