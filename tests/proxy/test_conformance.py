"""What ``make conformance-proxy`` and ``make bench-proxy`` make of what they saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.proxy_beside.measures import Figures
from bench.proxy_beside.objects import cluster_ip, endpoint_slice
from bench.proxy_beside.table import percentile, render
from conformance.proxy.api import read_objects
from conformance.proxy.differences import INTENDED, explain
from conformance.proxy.report import Cell, render_body

from seamark.testing.scenario import Flow, Seen, read_flows

SCENARIOS = Path(__file__).parents[1] / "scenarios"
DROPPED = Seen(frozenset({"drop"}), frozenset(), frozenset())
UNUSED = Flow("unused port", "10.244.1.9", "10.96.7.9:81", outcome="refuse")


def test_only_kube_proxy_may_differ() -> None:
    assert explain("kube-proxy iptables", "clusterip", UNUSED, DROPPED) == "unused port of a ClusterIP"
    assert explain("iptables", "clusterip", UNUSED, DROPPED) == ""


@pytest.mark.parametrize(
    ("backend", "scenario", "flow"),
    [
        pytest.param("kube-proxy nftables", "clusterip", UNUSED, id="the mode that refuses"),
        pytest.param(
            "kube-proxy iptables", "clusterip", Flow("a pod", "10.244.1.9", "10.96.7.9:80"), id="another flow"
        ),
        pytest.param("kube-proxy nftables", "nodeport", Flow("a pod", "10.244.1.9", "10.96.7.9:80"), id="elsewhere"),
    ],
)
def test_what_nothing_explains(backend: str, scenario: str, flow: Flow) -> None:
    assert explain(backend, scenario, flow, DROPPED) == ""


def test_the_page_tells_every_difference() -> None:
    fine = Cell("clusterip", "unused port", "tracer", "")
    differs = replace(fine, backend="kube-proxy iptables", seen="no answer", reason=INTENDED[0].name)
    wrong = replace(fine, backend="nftables", seen="refused")
    page = render_body([fine, differs, wrong], ("tracer", "nftables", "kube-proxy iptables"))
    assert f"| unused port | ✓ | ✗ refused | no answer: **{INTENDED[0].name}** |" in page
    assert INTENDED[0].text in page
    assert INTENDED[1].text not in page
    assert "| nftables | 1 | 0 | 0 | 1 |" in page


def test_a_flow_fits_when_every_endpoint_was_seen_with_the_right_client() -> None:
    (flow,) = (flow for flow in read_flows(SCENARIOS / "nodeport").flows if flow.case == "from outside")
    all_seen = Seen(frozenset({"balance"}), frozenset(flow.endpoints), frozenset(flow.endpoints))
    assert all_seen.fits(flow)
    assert not replace(all_seen, masqueraded=frozenset()).fits(flow)
    assert not replace(all_seen, servers=frozenset(flow.endpoints[:1])).fits(flow)
    assert not DROPPED.fits(flow)


def test_objects_are_as_an_api_server_would_have_stored_them() -> None:
    (web,) = (obj for obj in read_objects(SCENARIOS / "nodeport") if obj["kind"] == "Service")
    assert web["spec"]["clusterIPs"] == [web["spec"]["clusterIP"]]
    assert web["spec"]["externalTrafficPolicy"] == "Cluster"
    assert all(port["protocol"] == "TCP" for port in web["spec"]["ports"])


def test_a_turn_moves_every_endpoint_and_no_address_is_used_twice() -> None:
    before, after = ({endpoint["addresses"][0] for endpoint in endpoint_slice(7, turn)["endpoints"]} for turn in (0, 1))
    assert not before & after
    assert len({cluster_ip(number) for number in range(50_000)}) == 50_000


def test_the_table_says_how_many_times_less() -> None:
    theirs = Figures(cold=2.0, changes=[0.2, 0.4], memory=80)
    ours = Figures(cold=0.5, changes=[0.002, 0.004], memory=40)
    table = render({("kube-proxy nftables", 1000): theirs, ("seamark", 1000): ours, ("seamark", 44_000): Figures()})
    assert "| start to every Service in force, s | 2.00 | 0.50 | – | 4.0× |" in table
    assert "| one EndpointSlice changed → in force, p50, ms | 400 | 4.00 | – | 100.0× |" in table
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
