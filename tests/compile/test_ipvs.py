"""What IPVS is given, and what is left to nft; flows through both are ``tests/scenarios`` in ``make test-vm``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.compile.iptables import select_owned
from seamark.compile.ipvs import (
    MARKS,
    PROTOCOL_ORDER,
    IpvsProduct,
    Marks,
    Surroundings,
    VirtualServer,
    compile_ipvs,
    make_mark,
    parse_mark,
)
from seamark.compile.ipvstext import render_elements, render_structure
from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig, PortKey, compile_ruleset
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
VIP = "10.96.7.9"
HERE, AWAY = "10.244.1.2", "10.244.2.2"


def compiled(*endpoints: str, world: Surroundings | None = None, **spec: Any) -> IpvsProduct:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    meta = {"name": "web", "namespace": "default"}
    service = {"metadata": meta, "spec": {"clusterIP": VIP, "type": "NodePort", "ports": ports, **spec}}
    piece = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": "node1" if ip == HERE else "node2"} for ip in endpoints],
    }
    found = Snapshot.of([codec.convert(service, Service), codec.convert(piece, EndpointSlice)])
    rules = compile_ruleset(found, NODE).ports
    return compile_ipvs(rules, select_owned(rules), world or Surroundings(NODE, ("172.30.0.11", "192.0.2.7")))


def test_node_ports_are_served_on_each_address_of_the_node() -> None:
    found = compiled(HERE)
    assert {(s.ip, s.port) for s in found.servers} == {(VIP, 80), ("172.30.0.11", 30080), ("192.0.2.7", 30080)}
    assert found.addresses == {VIP}, "the node's own addresses are there already"


def test_persistence_is_the_affinity() -> None:
    config = {"clientIP": {"timeoutSeconds": 77}}
    found = compiled(HERE, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert {reals.seconds for reals in found.servers.values()} == {77}


def test_without_endpoints_nft_refuses() -> None:
    found = compiled()
    assert found.servers == {}
    assert ("refused", f"{VIP} . tcp . 80") in found.elements
    assert found.addresses == {VIP}, "its other ports refuse as well"


def test_policy_local_has_a_second_list_by_mark() -> None:
    found = compiled(HERE, AWAY, externalTrafficPolicy="Local")
    by_address = found.servers[VirtualServer("TCP", "172.30.0.11", 30080)]
    assert by_address.endpoints == {(HERE, 8080)}
    marked = {server.mark: reals for server, reals in found.servers.items() if server.mark}
    assert {reals.endpoints for reals in marked.values()} == {frozenset({(HERE, 8080), (AWAY, 8080)})}
    assert sorted(mark & NODE.masquerade_mark for mark in marked) == [0, NODE.masquerade_mark]


@pytest.mark.parametrize("affinity", [{}, {"sessionAffinity": "ClientIP"}])
def test_policy_local_without_a_local_endpoint_lets_insiders_pass(affinity: dict[str, str]) -> None:
    found = compiled(AWAY, externalTrafficPolicy="Local", **affinity)
    assert found.servers[VirtualServer("TCP", "172.30.0.11", 30080)].endpoints == {(AWAY, 8080)}
    assert ("inside", "172.30.0.11 . tcp . 30080") in found.elements
    assert not any(server.mark for server in found.servers)


def test_an_external_ip_that_is_the_nodes_own_keeps_its_other_ports() -> None:
    found = compiled(HERE, externalIPs=["192.0.2.7"])
    assert "192.0.2.7" not in found.addresses
    assert ("vips", "192.0.2.7") not in found.elements
    assert VirtualServer("TCP", "192.0.2.7", 80) in found.servers


def test_excluded_addresses_are_somebody_elses() -> None:
    found = compiled(HERE, externalIPs=["192.0.2.10"], world=Surroundings(NODE, excluded=("192.0.2.0/24",)))
    assert {server.ip for server in found.servers} == {VIP}


@given(
    number=st.integers(0, MARKS - 1),
    bit=st.integers(0, 31),
    protocol=st.sampled_from(PROTOCOL_ORDER),
    masqueraded=st.booleans(),
)
def test_marks(number: int, bit: int, protocol: Any, masqueraded: bool) -> None:
    mark = make_mark(number, protocol, 1 << bit, masqueraded=masqueraded)
    assert 0 < mark < 1 << 32
    assert bool(mark >> bit & 1) == masqueraded
    assert parse_mark(mark, 1 << bit) == protocol
    other = make_mark((number + 1) % MARKS, protocol, 1 << bit, masqueraded=masqueraded)
    assert other != mark


@pytest.mark.parametrize("mark", [0, 1, 0x4000, 0x8000, 0xFFFFFFFF])
def test_marks_of_others(mark: int) -> None:
    assert parse_mark(mark, 0x4000) is None


def test_numbers_are_the_same_in_a_later_run() -> None:
    keys = [PortKey("default", f"s{n}", "http", "TCP") for n in range(2000)]
    first, second = Marks(), Marks()
    numbers = {key: first.number(key) for key in keys}
    assert len(set(numbers.values())) == len(keys)
    assert sum(second.number(key) == numbers[key] for key in reversed(keys)) > 1900
    first.forget(keys[0])
    assert first.number(keys[0]) == numbers[keys[0]]


def test_only_what_differs_is_written() -> None:
    layout = Layout("IPv4", "seamark-ipvs")
    before, after = compiled(HERE).elements, compiled(HERE, AWAY).elements
    assert render_elements(layout, before, before) == ""
    assert render_elements(layout, before, after) == "", "endpoints are IPVS's"
    marks = compiled(HERE, AWAY, externalTrafficPolicy="Local").elements
    text = render_elements(layout, marks, after)
    (deleted,) = (line for line in text.splitlines() if line.startswith("delete element ip seamark-ipvs pods"))
    assert " : " not in deleted, "a mapping is deleted by its key"


def test_the_structure_says_who_is_a_pod() -> None:
    text = render_structure(Layout("IPv6", "seamark-ipvs"), NODE)
    assert "table ip6 seamark-ipvs {" in text
    assert "saddr != @podnets" not in text, "there is no IPv6 range, so nobody can be told"
    assert "ip6 saddr" in text
