"""Where packets to Services go on a node: the decisions, as flows through the tracer."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.addresses import family_of
from seamark.compile.ruleset import NodeConfig, compile_ruleset
from seamark.compile.tracer import PASS, Outcome, Packet, trace
from seamark.model.snapshot import Snapshot

VIP, NODE, POD, OUTSIDE = "10.96.0.9", "172.30.0.11", "10.244.0.7", "192.0.2.50"
LOCAL, REMOTE, FAR = "10.244.0.2", "10.244.2.2", "10.244.3.2"
SOURCES = {"pod": POD, "node": NODE, "outside": OUTSIDE}


def ends(*ips: str, masqueraded: Any = ()) -> Outcome:
    return Outcome("balance", frozenset(f"{ip}:8080" for ip in ips), frozenset(f"{ip}:8080" for ip in masqueraded))


def everywhere(*ips: str) -> dict[str, Outcome]:
    """Cluster policy by ClusterIP: only a pod keeps its address."""
    return {who: ends(*ips, masqueraded=() if who == "pod" else ips) for who in SOURCES}


REFUSE, DROP = Outcome("refuse"), Outcome("drop")


def flows(node: NodeConfig, destination: str, port: int, *given: Any) -> dict[str, Outcome]:
    ruleset = compile_ruleset(Snapshot.of(given), node)
    return {who: trace(ruleset, Packet(ip, destination, port)) for who, ip in SOURCES.items()}


@pytest.mark.parametrize(
    ("endpoints", "wanted"),
    [
        pytest.param([(LOCAL, "node1", {}), (REMOTE, "node2", {})], [LOCAL, REMOTE], id="all ready"),
        pytest.param([(LOCAL, "node1", {"ready": False}), (REMOTE, "node2", {})], [REMOTE], id="one not ready"),
        pytest.param(
            [(LOCAL, "node1", {"ready": False, "serving": True, "terminating": True}), (REMOTE, "node2", {})],
            [REMOTE],
            id="a ready one elsewhere suppresses the fallback",
        ),
        pytest.param(
            [
                (LOCAL, "node1", {"ready": False, "serving": True, "terminating": True}),
                (REMOTE, "node2", {"ready": False, "serving": False, "terminating": True}),
                (FAR, "node3", {"ready": False, "serving": True}),
            ],
            [LOCAL],
            id="fallback: serving and terminating only",
        ),
        pytest.param([(LOCAL, "node1", {"ready": False, "serving": True})], [], id="serving, not terminating: refused"),
        pytest.param([], [], id="none"),
    ],
)
def test_cluster_list(objects: Any, node: NodeConfig, endpoints: Any, wanted: list[str]) -> None:
    slice_ = objects.slice_(*(objects.endpoint(ip, where, **c) for ip, where, c in endpoints))
    found = flows(node, VIP, 80, objects.service(), slice_)
    assert found == (everywhere(*wanted) if wanted else dict.fromkeys(SOURCES, REFUSE))


LEAVING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("endpoints", "internal", "external"),
    [
        pytest.param(
            [(LOCAL, "node1", {}), (REMOTE, "node2", {})],
            {"pod": ends(LOCAL), "node": ends(LOCAL, masqueraded=[LOCAL]), "outside": ends(LOCAL, masqueraded=[LOCAL])},
            {
                "pod": ends(LOCAL, REMOTE),
                "node": ends(LOCAL, REMOTE, masqueraded=[LOCAL, REMOTE]),
                "outside": ends(LOCAL),
            },
            id="local ones",
        ),
        pytest.param(
            [(REMOTE, "node2", {})],
            dict.fromkeys(SOURCES, DROP),
            {"pod": ends(REMOTE), "node": ends(REMOTE, masqueraded=[REMOTE]), "outside": DROP},
            id="elsewhere only",
        ),
        pytest.param([], dict.fromkeys(SOURCES, REFUSE), dict.fromkeys(SOURCES, REFUSE), id="nowhere"),
        pytest.param(
            [(LOCAL, "node1", LEAVING), (REMOTE, "node2", {})],
            {"pod": ends(LOCAL), "node": ends(LOCAL, masqueraded=[LOCAL]), "outside": ends(LOCAL, masqueraded=[LOCAL])},
            {"pod": ends(REMOTE), "node": ends(REMOTE, masqueraded=[REMOTE]), "outside": ends(LOCAL)},
            id="the local fallback is decided by itself",
        ),
    ],
)
def test_policy_local(
    objects: Any, node: NodeConfig, endpoints: Any, internal: dict[str, Outcome], external: dict[str, Outcome]
) -> None:
    ports = {"name": "http", "port": 80, "nodePort": 30080}
    policies = {"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local", "type": "NodePort"}
    service = objects.service("web", VIP, ports, externalIPs=["192.0.2.10"], **policies)
    slice_ = objects.slice_(*(objects.endpoint(ip, where, **c) for ip, where, c in endpoints))
    assert flows(node, VIP, 80, service, slice_) == internal
    assert flows(node, NODE, 30080, service, slice_) == external
    assert flows(node, "192.0.2.10", 80, service, slice_) == external


def test_external_policy_says_nothing_about_the_cluster_ip(objects: Any, node: NodeConfig) -> None:
    service = objects.service(type="NodePort", externalTrafficPolicy="Local")
    assert flows(node, VIP, 80, service, objects.slice_(objects.endpoint(REMOTE, "node2"))) == everywhere(REMOTE)


def test_external_traffic_with_policy_cluster_is_masqueraded_from_everywhere(objects: Any, node: NodeConfig) -> None:
    service = objects.service("web", VIP, {"name": "http", "port": 80, "nodePort": 30080}, type="NodePort")
    found = flows(node, NODE, 30080, service, objects.slice_(objects.endpoint(REMOTE, "node2")))
    assert found == dict.fromkeys(SOURCES, ends(REMOTE, masqueraded=[REMOTE]))


def test_hairpin_is_masqueraded_for_the_endpoint_itself_alone(objects: Any, node: NodeConfig) -> None:
    ruleset = compile_ruleset(Snapshot.of([objects.service(), objects.slice_(LOCAL, "10.244.0.3")]), node)
    both = frozenset({f"{LOCAL}:8080", "10.244.0.3:8080"})
    assert trace(ruleset, Packet(LOCAL, VIP, 80)) == Outcome("balance", both, frozenset({f"{LOCAL}:8080"}))


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        pytest.param({"type": "ExternalName", "externalIPs": ["192.0.2.10"]}, {}, id="ExternalName"),
        pytest.param({}, {"service.kubernetes.io/service-proxy-name": "other"}, id="another proxy's"),
        pytest.param({}, {"service.kubernetes.io/service-proxy-name": ""}, id="label without value"),
    ],
)
def test_services_that_are_not_ours(objects: Any, node: NodeConfig, spec: Any, labels: Any) -> None:
    service = objects.service("web", VIP, labels=labels, **spec)
    assert compile_ruleset(Snapshot.of([service, objects.slice_(LOCAL)]), node).ports == {}


@pytest.mark.parametrize("ip", ["None", "", "fd00::9"])
def test_without_a_cluster_ip_of_the_family_there_are_no_rules(objects: Any, node: NodeConfig, ip: str) -> None:
    assert compile_ruleset(Snapshot.of([objects.service("web", ip), objects.slice_(LOCAL)]), node).ports == {}


def test_a_slice_with_the_headless_label_is_no_slice_of_ours(objects: Any, node: NodeConfig) -> None:
    slice_ = objects.slice_(LOCAL, labels={"service.kubernetes.io/headless": ""})
    assert flows(node, VIP, 80, objects.service(), slice_) == dict.fromkeys(SOURCES, REFUSE)


def test_families_are_independent(objects: Any) -> None:
    node = NodeConfig("node1", (), ("10.244.0.0/16", "fd01::/48"), ("10.96.0.0/12", "fd02::/112"))
    service = objects.service(clusterIPs=[VIP, "fd02::9"])
    four, six = objects.slice_(LOCAL), objects.slice_("fd01::2", family="IPv6", name="six")
    ruleset = compile_ruleset(Snapshot.of([service, four, six]), node, family="IPv6")
    assert trace(ruleset, Packet("fd01::7", "fd02::9", 80)).endpoints == {"[fd01::2]:8080"}
    assert trace(ruleset, Packet("10.244.0.7", VIP, 80)).action == "drop"


@pytest.mark.parametrize(
    ("hints", "wanted"),
    [
        pytest.param([{"zones": ["a"]}, {"zones": ["b"]}], [LOCAL], id="our zone"),
        pytest.param([{"zones": ["b"]}, {"zones": ["b"]}], [LOCAL, REMOTE], id="no zone of ours: all"),
        pytest.param([{"zones": ["a"]}, {}], [LOCAL, REMOTE], id="one without hints: all"),
        pytest.param([{"nodes": ["node2"]}, {"nodes": ["node1"]}], [REMOTE], id="our node"),
        pytest.param([{"nodes": ["x"], "zones": ["a"]}, {"nodes": ["y"], "zones": ["b"]}], [LOCAL], id="then zones"),
        pytest.param([{"zones": ["a"]}, {"ready": False}], [LOCAL], id="one that is not ready does not matter"),
    ],
)
def test_topology_hints(objects: Any, node: NodeConfig, hints: Any, wanted: list[str]) -> None:
    slice_ = objects.slice_(*(objects.endpoint(ip, **h) for ip, h in zip((LOCAL, REMOTE), hints, strict=True)))
    assert flows(node, VIP, 80, objects.service(), slice_)["pod"].endpoints == {f"{ip}:8080" for ip in wanted}


def test_hints_do_not_touch_the_local_list(objects: Any, node: NodeConfig) -> None:
    service = objects.service(internalTrafficPolicy="Local")
    slice_ = objects.slice_(objects.endpoint(LOCAL, zones=["b"]), objects.endpoint(REMOTE, "node2", zones=["a"]))
    assert flows(node, VIP, 80, service, slice_)["pod"] == ends(LOCAL)


LB = {"type": "LoadBalancer", "ingress": [{"ip": "198.51.100.7"}]}


@pytest.mark.parametrize(
    ("ingress", "wanted"),
    [
        pytest.param({"ip": "198.51.100.7"}, "balance", id="unset mode"),
        pytest.param({"ip": "198.51.100.7", "ipMode": "VIP"}, "balance", id="VIP"),
        pytest.param({"ip": "198.51.100.7", "ipMode": "Proxy"}, "pass", id="Proxy"),
        pytest.param({"hostname": "lb.example.org"}, "pass", id="hostname only"),
    ],
)
def test_load_balancer_ingress(objects: Any, node: NodeConfig, ingress: Any, wanted: str) -> None:
    service = objects.service(type="LoadBalancer", ingress=[ingress])
    found = flows(node, "198.51.100.7", 80, service, objects.slice_(LOCAL))
    assert {o.action for o in found.values()} == {wanted}


@pytest.mark.parametrize(
    ("ranges", "wanted"),
    [
        pytest.param(
            ["192.0.2.0/24"], {"pod": "drop", "node": "drop", "outside": "balance"}, id="pods are dropped too"
        ),
        pytest.param([" 10.244.0.0/16 "], {"pod": "balance", "node": "drop", "outside": "drop"}, id="spaces"),
        pytest.param(["203.0.113.0/24", "0.0.0.0/0"], dict.fromkeys(SOURCES, "balance"), id="a zero range: no filter"),
        pytest.param(["fd00::/8"], dict.fromkeys(SOURCES, "balance"), id="no range of this family"),
        pytest.param(["172.30.0.0/24"], {"pod": "drop", "node": "balance", "outside": "drop"}, id="the node"),
    ],
)
def test_source_ranges_guard_the_vip_alone(objects: Any, node: NodeConfig, ranges: Any, wanted: Any) -> None:
    ports = {"name": "http", "port": 80, "nodePort": 30080}
    service = objects.service("web", VIP, ports, externalIPs=["192.0.2.10"], loadBalancerSourceRanges=ranges, **LB)
    slice_ = objects.slice_(LOCAL)
    assert {w: o.action for w, o in flows(node, "198.51.100.7", 80, service, slice_).items()} == wanted
    for destination, port in ((VIP, 80), (NODE, 30080), ("192.0.2.10", 80)):
        assert {o.action for o in flows(node, destination, port, service, slice_).values()} == {"balance"}


def test_node_inside_the_ranges_lets_the_vip_itself_in(objects: Any, node: NodeConfig) -> None:
    service = objects.service(loadBalancerSourceRanges=["172.30.0.0/24"], **LB)
    ruleset = compile_ruleset(Snapshot.of([service, objects.slice_(LOCAL)]), node)
    assert trace(ruleset, Packet("198.51.100.7", "198.51.100.7", 80)).action == "balance"


def test_addresses_nobody_serves(objects: Any, node: NodeConfig) -> None:
    given = (objects.service(), objects.slice_(LOCAL))
    assert set(flows(node, VIP, 81, *given).values()) == {REFUSE}
    assert set(flows(node, "10.96.200.200", 80, *given).values()) == {DROP}
    assert set(flows(node, NODE, 30080, *given).values()) == {PASS}
    assert set(flows(node, "203.0.113.1", 80, *given).values()) == {PASS}


def test_one_external_address_claimed_twice_goes_to_the_lesser_name(objects: Any, node: NodeConfig) -> None:
    first = objects.service("a", "10.96.0.1", externalIPs=["192.0.2.10"])
    second = objects.service("b", "10.96.0.2", externalIPs=["192.0.2.10"])
    slices = (objects.slice_(LOCAL, service="a"), objects.slice_(REMOTE, service="b"))
    for order in ((first, second), (second, first)):
        assert flows(node, "192.0.2.10", 80, *order, *slices)["pod"].endpoints == {f"{LOCAL}:8080"}


def test_masquerade_all_and_no_pod_range(objects: Any, node: NodeConfig) -> None:
    given = (objects.service(), objects.slice_(LOCAL))
    everybody = NodeConfig("node1", (NODE,), node.pod_cidrs, node.service_cidrs, masquerade_all=True)
    assert flows(everybody, VIP, 80, *given)["pod"] == ends(LOCAL, masqueraded=[LOCAL])
    unknown = NodeConfig("node1", (NODE,), (), node.service_cidrs)
    assert set(flows(unknown, VIP, 80, *given).values()) == {ends(LOCAL)}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("10.0.0.1", "IPv4"),
        ("fd00::1", "IPv6"),
        ("::ffff:10.0.0.1", "IPv6"),
        ("10.0.0.256", None),
        ("10.0.0.01", None),
        ("fe80::1%eth0", None),
        ("10.0.0.1\n", None),
        ("1; flush ruleset", None),
        ("", None),
    ],
)
def test_only_addresses_reach_the_kernel(text: str, family: str | None) -> None:
    assert family_of(text) == family
