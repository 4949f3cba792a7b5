"""Services: defaults, what a write keeps, cells of `kubectl get svc`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.resources.core.service import SERVICE
from seamark.testing.builders import sent_service as service
from seamark.testing.writes import Writes, service_pools

Obj = dict[str, Any]
WRITES = Writes(SERVICE, service_pools)
create, refused, update = WRITES.create, WRITES.refused, WRITES.update

NOW = 1795514400.0  # 2026-11-24T10:00:00Z


def test_plain_service_gets_every_default() -> None:
    made = create(service(selector={"app": "web"}))
    ip = made["spec"]["clusterIP"]
    assert made["spec"] == {
        "selector": {"app": "web"},
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "clusterIP": ip,
        "clusterIPs": [ip],
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }
    assert made["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {"sessionAffinity": "ClientIP"},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
            id="affinity timeout",
        ),
        pytest.param(
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
            id="given affinity timeout",
        ),
        pytest.param(
            {"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
            {"sessionAffinityConfig": None},
            id="no affinity drops its config",
        ),
        pytest.param({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}, id="external policy of NodePort"),
        pytest.param({"externalIPs": ["192.0.2.1"]}, {"externalTrafficPolicy": "Cluster"}, id="of external IPs"),
        pytest.param(
            {"type": "LoadBalancer"},
            {"allocateLoadBalancerNodePorts": True, "externalTrafficPolicy": "Cluster"},
            id="LoadBalancer",
        ),
        pytest.param(
            {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False},
            {"allocateLoadBalancerNodePorts": False},
            id="false is kept",
        ),
        pytest.param(
            {"clusterIP": "None", "ports": None, "selector": {"a": "b"}},
            {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"},
            id="headless",
        ),
        pytest.param(
            {"clusterIP": "None", "ports": None},
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"},
            id="headless without selector",
        ),
        pytest.param(
            {"type": "ExternalName", "externalName": "db.example", "ports": None},
            {"clusterIP": None, "ipFamilies": None, "ipFamilyPolicy": None, "internalTrafficPolicy": None},
            id="ExternalName",
        ),
        pytest.param(
            {"ipFamilyPolicy": "PreferDualStack"}, {"ipFamilies": ["IPv4"]}, id="PreferDualStack on one family"
        ),
        pytest.param({"clusterIP": "", "loadBalancerIP": ""}, {"loadBalancerIP": None}, id="empty text is absent"),
    ],
)
def test_defaults(given: Obj, expected: Obj) -> None:
    spec = create(service(**given))["spec"]
    assert {name: spec.get(name) for name in expected} == expected


@pytest.mark.parametrize("cleared", [pytest.param("", id="empty"), pytest.param(None, id="null")])
def test_put_without_allocated_values_keeps_them(cleared: str | None) -> None:
    old = create(service(type="NodePort"))
    sent = service(type="NodePort", clusterIP=cleared, clusterIPs=cleared, ipFamilies=None)
    new, causes = update(sent, old)
    assert causes == []
    assert new == old


@pytest.mark.parametrize(
    ("before", "after", "absent", "expected"),
    [
        pytest.param(
            {"type": "NodePort"},
            {"type": "ClusterIP"},
            ["externalTrafficPolicy"],
            {"type": "ClusterIP"},
            id="NodePort to ClusterIP drops node ports",
        ),
        pytest.param(
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
            {"type": "ClusterIP"},
            ["externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort"],
            {"type": "ClusterIP"},
            id="LoadBalancer to ClusterIP",
        ),
        pytest.param(
            {"type": "ClusterIP"},
            {"type": "ExternalName", "externalName": "db.example"},
            ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"],
            {"type": "ExternalName"},
            id="ClusterIP to ExternalName drops the address",
        ),
        pytest.param(
            {"type": "ClusterIP"},
            {"type": "LoadBalancer"},
            [],
            {"allocateLoadBalancerNodePorts": True, "externalTrafficPolicy": "Cluster"},
            id="ClusterIP to LoadBalancer",
        ),
    ],
)
def test_type_changes_by_patch(before: Obj, after: Obj, absent: list[str], expected: Obj) -> None:
    """A patch sends everything the object has, with the type changed."""
    old = create(service(**before))
    sent = deepcopy(old)
    sent["spec"].update(after)
    new, causes = update(sent, old)
    assert causes == []
    assert [name for name in absent if name in new["spec"]] == []
    assert {name: new["spec"].get(name) for name in expected} == expected
    uses_ports = new["spec"]["type"] in ("NodePort", "LoadBalancer")
    assert ("nodePort" in new["spec"]["ports"][0]) is uses_ports


def test_status_is_not_written_with_the_object_nor_the_spec_with_the_status() -> None:
    assert SERVICE.prepare_status and SERVICE.validate_status
    old = create(service(type="LoadBalancer"))
    sent = deepcopy(old)
    sent["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    new, _ = update(sent, old)
    assert new["status"] == {"loadBalancer": {}}
    sent["spec"] = {}
    SERVICE.prepare_status(sent, old)
    assert sent["spec"] == old["spec"]
    assert sent["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    assert SERVICE.validate_status(sent, old) == []


def ingress(*addresses: Obj) -> Obj:
    return {"loadBalancer": {"ingress": list(addresses)}}


WEB_PORT = {"port": 80, "protocol": "TCP"}


@pytest.mark.parametrize(
    ("spec", "status", "cells"),
    [
        pytest.param(
            {"type": "ClusterIP", "clusterIPs": ["10.99.117.118"], "ports": [WEB_PORT], "selector": {"app": "web"}},
            {},
            ["ClusterIP", "10.99.117.118", "<none>", "80/TCP", "app=web"],
            id="clusterip",
        ),
        pytest.param(
            {"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "externalIPs": ["192.0.2.5", "192.0.2.6"]},
            {},
            ["ClusterIP", "10.0.0.1", "192.0.2.5,192.0.2.6", "<none>", "<none>"],
            id="extips",
        ),
        pytest.param(
            {"type": "ExternalName", "externalName": "my.db.example"},
            {},
            ["ExternalName", "<none>", "my.db.example", "<none>", "<none>"],
            id="extname",
        ),
        pytest.param(
            {"type": "ExternalName", "externalName": "x.example", "ports": [WEB_PORT]},
            {},
            ["ExternalName", "<none>", "x.example", "80/TCP", "<none>"],
            id="extname-port",
        ),
        pytest.param(
            {"type": "ClusterIP", "clusterIPs": ["None"], "selector": {"app": "web"}},
            {},
            ["ClusterIP", "None", "<none>", "<none>", "app=web"],
            id="headless",
        ),
        pytest.param(
            {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{**WEB_PORT, "nodePort": 31994}]},
            ingress({"hostname": "lb.example"}),
            ["LoadBalancer", "10.0.0.1", "lb.example", "80:31994/TCP", "<none>"],
            id="lb-host",
        ),
        pytest.param(
            {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{**WEB_PORT, "nodePort": 31766}]},
            {},
            ["LoadBalancer", "10.0.0.1", "<pending>", "80:31766/TCP", "<none>"],
            id="lb-pending",
        ),
        pytest.param(
            {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{**WEB_PORT, "nodePort": 32278}]},
            ingress({"ip": "192.0.2.81"}, {"ip": "192.0.2.80"}),
            ["LoadBalancer", "10.0.0.1", "192.0.2.80,192.0.2.81", "80:32278/TCP", "<none>"],
            id="lb-ready",
        ),
        pytest.param(
            {
                "type": "NodePort",
                "clusterIPs": ["10.0.0.1"],
                "ports": [{**WEB_PORT, "nodePort": 32014}, {"port": 53, "protocol": "UDP", "nodePort": 31487}],
                "selector": {"tier": "x", "app": "web"},
            },
            {},
            ["NodePort", "10.0.0.1", "<none>", "80:32014/TCP,53:31487/UDP", "app=web,tier=x"],
            id="nodeport",
        ),
    ],
)
def test_cells(spec: Obj, status: Obj, cells: list[str]) -> None:
    obj = {"metadata": {"name": "x"}, "spec": spec, "status": status}
    assert [c.cell(obj, NOW) for c in SERVICE.columns if c.cell] == cells


@pytest.mark.parametrize(
    ("label", "value"),
    [("spec.clusterIP", "None"), ("spec.type", "ClusterIP")],
)
def test_field_selectors(label: str, value: str) -> None:
    assert SERVICE.field_selectors[label](create(service(clusterIP="None"))) == value
    assert SERVICE.unknown_field_selector("spec.x") == "field label not supported: spec.x"
