"""``seamark explain conn`` without a cluster: what is asked, what is answered, what would mend it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from seamark.compile.manifest import parse_manifest
from seamark.compile.ruleset import NodeConfig
from seamark.compile.whyconn import (
    Ages,
    KernelView,
    QuestionError,
    compile_report,
    plan_question,
    render_report,
)
from seamark.model.snapshot import Snapshot

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
POD, AWAY, OUTSIDE, VIP = "10.244.1.2", "10.244.2.2", "192.0.2.7", "10.96.7.9"


def snapshot(*endpoints: str, labels: Any = None, ready: bool = True, port: str = "http", **spec: Any) -> Snapshot:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    given = {"clusterIP": VIP, "type": "NodePort", "selector": {"app": "x"}, "ports": ports, **spec}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "uid": "u1", "labels": labels or {}}}
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": port, "port": 8080}],
        "endpoints": [
            {"addresses": [ip], "nodeName": "node2" if ip == AWAY else "node1", "conditions": {"ready": ready}}
            for ip in endpoints
        ],
    }
    with_status = service | {"spec": given} | ({"status": status} if given["type"] == "LoadBalancer" else {})
    return parse_manifest(yaml.safe_dump_all([with_status, piece])).snapshot


def report(found: Snapshot, target: str = "web", source: str = POD, kernel: KernelView | None = None) -> dict[str, Any]:
    question = plan_question(found, target, source, namespace="default", node=NODE)
    view = kernel or KernelView("ip seamark", "cip { … }", endpoints=(f"{POD}:8080",))
    return compile_report(found, question, NODE, view, ages=Ages({"u1": 100.0}, 220.0), domain="cluster.local")


@pytest.mark.parametrize(
    ("target", "source", "wanted"),
    [
        ("web", POD, f"{VIP}:80/TCP"),
        ("default/web:http", POD, f"{VIP}:80/TCP"),
        ("web:80", POD, f"{VIP}:80/TCP"),
        ("web:dns", POD, f"{VIP}:53/UDP"),
        ("web", OUTSIDE, "172.30.0.11:30080/TCP"),
        ("web:30080", OUTSIDE, "172.30.0.11:30080/TCP"),
        ("web:dns", OUTSIDE, f"{VIP}:53/UDP"),
        ("10.96.7.9:53", POD, f"{VIP}:53/UDP"),
        ("192.0.2.99:443", POD, "192.0.2.99:443/TCP"),
    ],
)
def test_what_is_asked(target: str, source: str, wanted: str) -> None:
    assert report(snapshot(POD), target, source)["to"] == wanted


@pytest.mark.parametrize(
    ("target", "spec", "message"),
    [
        ("nothing", {}, "Service default/nothing: there is none"),
        ("other/web", {}, "there is: default/web"),
        ("web:https", {}, "Service default/web has no port https; it has: http 80/TCP, dns 53/UDP"),
        ("web", {"clusterIP": "None", "type": "ClusterIP"}, "is headless: its names lead to pods, without a proxy"),
        ("10.96.7.9", {}, "an address needs a port"),
    ],
)
def test_what_cannot_be_asked(target: str, spec: Any, message: str) -> None:
    with pytest.raises(QuestionError) as refused:
        plan_question(snapshot(POD, **spec), target, POD, namespace="default", node=NODE)
    assert message in str(refused.value)


def test_all_is_well() -> None:
    both = KernelView("ip seamark", "cip { … }", endpoints=(f"{POD}:8080", f"{AWAY}:8080"))
    found = report(snapshot(POD, AWAY), kernel=both)
    assert found["verdict"] == "goes to an endpoint"
    assert found["names"][0] == "web.default.svc.cluster.local -> 10.96.7.9"
    assert found["service"]["changed"] == "2m ago"
    assert found["endpointSlices"][0]["endpoints"] == "2 of 2 ready"
    assert found["masquerade"] == f"only where the client is the server itself: {POD}:8080"
    assert (found["serverSees"], found["mend"]) == (POD, [])
    text = render_report(found)
    assert "verdict: goes to an endpoint\n" in text
    assert "    10.244.1.2:8080\n" in text
    assert "mend" not in text


def test_a_connect_hook_is_told_of_and_may_lag() -> None:
    hooks = {"/sys/fs/cgroup/pods": (f"{POD}:8080",)}
    found = report(snapshot(POD), kernel=KernelView("ip seamark", "cip { … }", endpoints=(f"{POD}:8080",), hooks=hooks))
    (line,) = found["kernel"]["connectHook"]
    assert line.startswith(f"processes in /sys/fs/cgroup/pods: connect() itself goes to {POD}:8080; no rule above")
    assert f"  connect hook:\n    {line}\n" in render_report(found)
    assert found["mend"] == []
    both = KernelView("ip seamark", "cip { … }", endpoints=(f"{POD}:8080", f"{AWAY}:8080"), hooks=hooks)
    (lag,) = report(snapshot(POD, AWAY), kernel=both)["mend"]
    assert lag.startswith(f"the connect hook of /sys/fs/cgroup/pods lags: it lacks {AWAY}:8080, has nothing too many")


def test_an_outsider_is_seen_as_the_node() -> None:
    found = report(snapshot(POD), source=OUTSIDE)
    assert (found["masquerade"], found["serverSees"]) == ("yes", "an address of node1, 172.30.0.11 as a rule")
    local = report(snapshot(POD, externalTrafficPolicy="Local"), source=OUTSIDE)
    assert (local["masquerade"], local["serverSees"]) == ("no", OUTSIDE)


@pytest.mark.parametrize(
    ("endpoints", "spec", "source", "verdict", "mend"),
    [
        ((), {}, POD, "is refused at once", "no pod matches: `kubectl get pods -l app=x`"),
        ((), {"selector": None}, POD, "is refused at once", "the Service has no selector: make EndpointSlices for it"),
        ((POD,), {"ready": False}, POD, "is refused at once", "0 of 1 endpoints are ready: `kubectl describe pods"),
        ((POD,), {"port": "web"}, POD, "is refused at once", "no port of that name; they have: web"),
        (
            (AWAY,),
            {"internalTrafficPolicy": "Local"},
            POD,
            "is dropped",
            "run an endpoint on node1, or set internalTrafficPolicy to Cluster; there are on: node2",
        ),
        (
            (AWAY,),
            {"externalTrafficPolicy": "Local"},
            OUTSIDE,
            "is dropped",
            "run an endpoint on node1, or set externalTrafficPolicy to Cluster; there are on: node2",
        ),
        (
            (POD,),
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["198.51.100.0/24"]},
            OUTSIDE,
            "is dropped",
            "add the client to spec.loadBalancerSourceRanges; it has: 198.51.100.0/24",
        ),
        (
            (POD,),
            {"labels": {"service.kubernetes.io/service-proxy-name": "x"}},
            POD,
            "is dropped",
            "is another proxy's (label service-proxy-name)",
        ),
    ],
)
def test_what_would_mend_it(endpoints: Any, spec: Any, source: str, verdict: str, mend: str) -> None:
    found = report(snapshot(*endpoints, **spec), source=source)
    assert found["verdict"].startswith(verdict)
    assert any(mend in line for line in found["mend"]), found["mend"]


def test_addresses_nobody_has() -> None:
    assert report(snapshot(POD), "10.96.1.1:80")["because"] == "an address of the service range that no Service has"
    assert report(snapshot(POD), f"{VIP}:81")["mend"] == ["use a port the Service has"]
    assert report(snapshot(POD), "192.0.2.99:80")["verdict"] == "is not touched"


def test_the_kernel_lags_or_has_nothing() -> None:
    (behind,) = report(snapshot(POD, AWAY))["mend"]
    assert behind.startswith(f"the kernel lags: it lacks {AWAY}:8080, has nothing too many")
    (gone,) = report(snapshot(POD), kernel=KernelView())["mend"]
    assert gone.startswith("no nftables rules of ours on node1")
