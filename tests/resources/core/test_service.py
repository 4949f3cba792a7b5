"""Services: defaults, what a write keeps, allocation, validation in Kubernetes' words, cells of `kubectl get svc`."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest

from seamark.machinery.status import StatusError
from seamark.resources.core.allocators import ServicePools
from seamark.resources.core.service import SERVICE

Obj = dict[str, Any]
NOW = 1795514400.0  # 2026-11-24T10:00:00Z


def pools(*cidrs: str, ports: tuple[int, int] = (30000, 32767)) -> ServicePools:
    return ServicePools(cidrs or ("10.96.0.0/12",), ports, choose=random.Random(3).randrange)


def service(**spec: Any) -> Obj:
    spec.setdefault("ports", [{"port": 80}])
    if spec["ports"] is None:
        del spec["ports"]
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def shown(causes: list[Any]) -> list[str]:
    return [f"{c.field}: {c.message}" for c in causes]


def create(obj: Obj, found: ServicePools | None = None) -> Obj:
    """As the API does it; causes fail the test."""
    assert SERVICE.default and SERVICE.prepare_create and SERVICE.validate and SERVICE.allocate
    obj = deepcopy(obj)
    SERVICE.default(obj)
    SERVICE.prepare_create(obj)
    assert shown(SERVICE.validate(obj)) == []
    with (found or pools()).reserve(None) as claim:
        assert shown(SERVICE.allocate(obj, None, claim)) == []
        claim.commit()
    return obj


def refused(obj: Obj, found: ServicePools | None = None) -> list[str]:
    assert SERVICE.default and SERVICE.prepare_create and SERVICE.validate and SERVICE.allocate
    obj = deepcopy(obj)
    SERVICE.default(obj)
    SERVICE.prepare_create(obj)
    causes = SERVICE.validate(obj)
    if not causes:
        with (found or pools()).reserve(None) as claim:
            causes = SERVICE.allocate(obj, None, claim)
    return shown(causes)


def update(new: Obj, old: Obj, found: ServicePools | None = None) -> tuple[Obj, list[str]]:
    assert SERVICE.default and SERVICE.prepare_update and SERVICE.validate and SERVICE.validate_update
    assert SERVICE.allocate
    new = deepcopy(new)
    SERVICE.default(new)
    SERVICE.prepare_update(new, old)
    causes = SERVICE.validate(new) + SERVICE.validate_update(new, old)
    if not causes:
        if found is None:
            found = pools()
            found.adopt(old)
        with found.reserve(old) as claim:
            causes = SERVICE.allocate(new, old, claim)
            if not causes:
                claim.commit()
    return new, shown(causes)


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


def test_dual_stack_cluster_gives_both() -> None:
    spec = create(service(ipFamilyPolicy="RequireDualStack"), pools("10.96.0.0/12", "fd00::/108"))["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    assert spec["clusterIPs"][0].startswith("10.")
    assert spec["clusterIPs"][1].startswith("fd00::")


def test_a_cluster_that_gained_a_family_leaves_services_alone() -> None:
    old = create(service(ipFamilyPolicy="PreferDualStack"))
    both = pools("10.96.0.0/12", "fd00::/108")
    both.adopt(old)
    assert update(old, old, both) == (old, [])
    asked = deepcopy(old)
    asked["spec"]["ipFamilyPolicy"] = "RequireDualStack"
    new, causes = update(asked, old, both)
    assert causes == []
    assert new["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert new["spec"]["clusterIPs"][0] == old["spec"]["clusterIP"]


def test_going_back_to_one_family_frees_the_second_address() -> None:
    both = pools("10.96.0.0/12", "fd00::/108")
    old = create(service(ipFamilyPolicy="RequireDualStack"), both)
    asked = deepcopy(old)
    asked["spec"]["ipFamilyPolicy"] = "SingleStack"
    new, causes = update(asked, old, both)
    assert causes == []
    assert new["spec"]["clusterIPs"] == old["spec"]["clusterIPs"][:1]
    assert both.reserve(None).claim_ip(old["spec"]["clusterIPs"][1]) == ""


def test_node_port_is_allocated_and_shared_by_protocols_of_one_port() -> None:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53},
        {"name": "web", "port": 80, "nodePort": 30080},
    ]
    made = create(service(type="NodePort", ports=ports))["spec"]["ports"]
    assert made[0]["nodePort"] == made[1]["nodePort"] >= 30086
    assert made[2]["nodePort"] == 30080


def test_local_load_balancer_gets_a_health_check_port() -> None:
    spec = create(service(type="LoadBalancer", externalTrafficPolicy="Local"))["spec"]
    assert 30000 <= spec["healthCheckNodePort"] <= 32767
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]


def test_load_balancer_may_do_without_node_ports() -> None:
    spec = create(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))["spec"]
    assert "nodePort" not in spec["ports"][0]


LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
TIMEOUT = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"


def client_ip(seconds: int) -> Obj:
    return {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


@pytest.mark.parametrize(
    ("given", "causes"),
    [
        pytest.param({"ports": None}, ["spec.ports: Required value"], id="no ports"),
        pytest.param(
            client_ip(0),
            [f"{TIMEOUT}: Invalid value: 0: must be greater than 0 and less than 86400"],
            id="affinity timeout 0",
        ),
        pytest.param(
            client_ip(86401),
            [f"{TIMEOUT}: Invalid value: 86401: must be greater than 0 and less than 86400"],
            id="affinity timeout too long",
        ),
        pytest.param(client_ip(86400), [], id="longest affinity timeout"),
        pytest.param(client_ip(1), [], id="shortest affinity timeout"),
        pytest.param(
            {"type": "Cluster"},
            [
                'spec.type: Unsupported value: "Cluster": supported values: "ClusterIP", "ExternalName", '
                '"LoadBalancer", "NodePort"',
            ],
            id="unknown type",
        ),
        pytest.param(
            {"sessionAffinity": "Cookie"},
            ['spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"'],
            id="unknown affinity",
        ),
        pytest.param(
            {"ports": [{"port": 80}, {"port": 81}]},
            ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
            id="several ports need names",
        ),
        pytest.param(
            {"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]},
            ['spec.ports[1].name: Duplicate value: "a"'],
            id="port name twice",
        ),
        pytest.param(
            {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
            [
                'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,'
                '"TargetPort":0,"NodePort":0}'
            ],
            id="port twice",
        ),
        pytest.param(
            {"ports": [{"port": 70000, "targetPort": 80}]},
            ["spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"],
            id="port out of range",
        ),
        pytest.param(
            {"ports": [{"port": 80, "protocol": "tcp"}]},
            ['spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"'],
            id="protocol in small letters",
        ),
        pytest.param(
            {"ports": [{"port": 80, "targetPort": "Web"}]},
            [
                'spec.ports[0].targetPort: Invalid value: "Web": must contain only alpha-numeric characters '
                "(a-z, 0-9), and hyphens (-)"
            ],
            id="target port name",
        ),
        pytest.param(
            {"ports": [{"port": 80, "name": "Web"}]},
            [f'spec.ports[0].name: Invalid value: "Web": {LABEL}'],
            id="port name",
        ),
        pytest.param(
            {"ports": [{"port": 80, "nodePort": 30001}]},
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
            id="node port of a ClusterIP",
        ),
        pytest.param(
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 1}]},
            [
                "spec.ports[0].nodePort: Invalid value: 1: provided port is not in the valid range. "
                "The range of valid ports is 30000-32767"
            ],
            id="node port out of range",
        ),
        pytest.param(
            {"type": "NodePort", "clusterIP": "None"},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
            id="headless NodePort",
        ),
        pytest.param(
            {"clusterIP": "10.96.0.999"},
            [
                'spec.clusterIPs[0]: Invalid value: "10.96.0.999": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
            id="no address",
        ),
        pytest.param(
            {"clusterIP": "192.168.0.1"},
            [
                'spec.clusterIPs: Invalid value: ["192.168.0.1"]: failed to allocate IP 192.168.0.1: '
                "the provided network does not match the current range"
            ],
            id="foreign address",
        ),
        pytest.param(
            {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.8"]},
            ['spec.clusterIPs: Invalid value: ["10.96.0.8"]: first value must match `clusterIP`'],
            id="clusterIP against clusterIPs",
        ),
        pytest.param(
            {"clusterIPs": ["10.96.0.8"]},
            ['spec.clusterIPs: Invalid value: ["10.96.0.8"]: must be empty when `clusterIP` is not specified'],
            id="clusterIPs alone",
        ),
        pytest.param(
            {"ipFamilies": ["IPv6"]},
            ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
            id="family the cluster has not",
        ),
        pytest.param(
            {"ipFamilyPolicy": "RequireDualStack"},
            [
                'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
                "this cluster is not configured for dual-stack services"
            ],
            id="dual stack asked of a single stack cluster",
        ),
        pytest.param(
            {"type": "ExternalName", "ports": None}, ["spec.externalName: Required value"], id="no external name"
        ),
        pytest.param(
            {"type": "ExternalName", "externalName": "a.example.", "clusterIP": "10.96.0.7"},
            ["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
            id="address of an ExternalName",
        ),
        pytest.param(
            {"externalIPs": ["127.0.0.1"]},
            [
                'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range '
                "(127.0.0.0/8, ::1/128)"
            ],
            id="loopback external address",
        ),
        pytest.param(
            {"externalTrafficPolicy": "Local"},
            ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
            id="external policy of a ClusterIP",
        ),
        pytest.param(
            {"type": "NodePort", "externalTrafficPolicy": "Global"},
            ['spec.externalTrafficPolicy: Unsupported value: "Global": supported values: "Cluster", "Local"'],
            id="unknown external policy",
        ),
        pytest.param(
            {"loadBalancerSourceRanges": ["10.0.0.0"], "type": "LoadBalancer"},
            [
                'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.0": '
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            ],
            id="source range without a length",
        ),
        pytest.param(
            {"allocateLoadBalancerNodePorts": False},
            ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
            id="a LoadBalancer's field",
        ),
        pytest.param(
            {"trafficDistribution": "Near"},
            [
                'spec.trafficDistribution: Unsupported value: "Near": supported values: "PreferClose", '
                '"PreferSameZone", "PreferSameNode"'
            ],
            id="unknown traffic distribution",
        ),
        pytest.param(
            {"selector": {"a b": "c"}},
            [
                "spec.selector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' "
                "or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
                "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ],
            id="selector key",
        ),
    ],
)
def test_refused_on_create(given: Obj, causes: list[str]) -> None:
    assert refused(service(**given)) == causes


def test_taken_address_is_refused() -> None:
    found = pools()
    create(service(clusterIP="10.96.0.50"), found)
    assert refused(service(clusterIP="10.96.0.50"), found) == [
        'spec.clusterIPs: Invalid value: ["10.96.0.50"]: failed to allocate IP 10.96.0.50: '
        "provided IP is already allocated"
    ]


def test_taken_node_port_is_refused_and_leaves_no_address_behind() -> None:
    found = pools("10.0.0.0/28")
    create(service(type="NodePort", clusterIP="10.0.0.1", ports=[{"port": 80, "nodePort": 30080}]), found)
    second = service(type="NodePort", clusterIP="10.0.0.2", ports=[{"port": 80, "nodePort": 30080}])
    assert refused(second, found) == [
        "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
    ]
    create(service(clusterIP="10.0.0.2"), found)


@pytest.mark.parametrize(
    ("given", "found", "message"),
    [
        pytest.param(
            {}, pools("10.0.0.0/31"), 'failed to allocate a serviceIP for Service "web": range is full', id="addresses"
        ),
        pytest.param(
            {"type": "NodePort"},
            pools(ports=(30000, 29999)),
            "failed to allocate a nodePort: range is full",
            id="node ports",
        ),
    ],
)
def test_full_range_is_an_internal_error(given: Obj, found: ServicePools, message: str) -> None:
    with pytest.raises(StatusError, match=message) as caught:
        create(service(**given), found)
    assert caught.value.code == 500


@pytest.mark.parametrize("cleared", [pytest.param("", id="empty"), pytest.param(None, id="null")])
def test_put_without_allocated_values_keeps_them(cleared: str | None) -> None:
    old = create(service(type="NodePort"))
    sent = service(type="NodePort", clusterIP=cleared, clusterIPs=cleared, ipFamilies=None)
    new, causes = update(sent, old)
    assert causes == []
    assert new == old


def test_node_ports_are_kept_by_port_name() -> None:
    old = create(service(type="NodePort", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    sent = service(type="NodePort", ports=[{"name": "b", "port": 82}, {"name": "c", "port": 83}])
    new, causes = update(sent, old)
    assert causes == []
    numbers = {p["name"]: p["nodePort"] for p in old["spec"]["ports"]}
    assert new["spec"]["ports"][0]["nodePort"] == numbers["b"]
    assert new["spec"]["ports"][1]["nodePort"] not in numbers.values()


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


def test_external_name_to_cluster_ip_gets_an_address() -> None:
    old = create(service(type="ExternalName", externalName="db.example"))
    sent = deepcopy(old)
    sent["spec"]["type"] = "ClusterIP"
    new, causes = update(sent, old)
    assert causes == []
    assert new["spec"]["clusterIP"].startswith("10.")


def test_becoming_external_name_frees_the_address() -> None:
    found = pools()
    old = create(service(clusterIP="10.96.0.60"), found)
    update(service(type="ExternalName", externalName="db.example"), old, found)
    create(service(clusterIP="10.96.0.60"), found)


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        pytest.param(
            {"clusterIP": "10.96.0.7"},
            {"clusterIP": "10.96.0.8"},
            ['spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set'],
            id="another address",
        ),
        pytest.param(
            {"clusterIP": "10.96.0.7"},
            {"clusterIP": "None"},
            ['spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'],
            id="becoming headless",
        ),
        pytest.param(
            {"clusterIP": "10.96.0.7"},
            {"ipFamilies": ["IPv6"]},
            ['spec.clusterIPs[0]: Invalid value: "10.96.0.7": expected an IPv6 value as indicated by `ipFamilies[0]`'],
            id="another family",
        ),
        pytest.param(
            {"type": "LoadBalancer", "loadBalancerClass": "example.com/a"},
            {"type": "LoadBalancer", "loadBalancerClass": "example.com/b"},
            ['spec.loadBalancerClass: Invalid value: "example.com/b": may not change once set'],
            id="load balancer class",
        ),
    ],
)
def test_refused_on_update(before: Obj, after: Obj, causes: list[str]) -> None:
    _, found = update(service(**after), create(service(**before)))
    assert found == causes


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


def test_ingress_of_another_type_is_refused() -> None:
    assert SERVICE.validate_status
    old = create(service())
    new = {**old, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    assert shown(SERVICE.validate_status(new, old)) == [
        "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({}, [], id="nothing to say"),
        pytest.param(
            {"clusterIP": "None", "sessionAffinity": "ClientIP"},
            ["spec.SessionAffinity is ignored for headless services"],
            id="affinity of a headless Service",
        ),
        pytest.param(
            {"externalIPs": ["192.0.2.1"]},
            ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"],
            id="external addresses",
        ),
        pytest.param(
            {"trafficDistribution": "PreferClose"},
            ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
            id="PreferClose",
        ),
        pytest.param(
            {"externalName": "a.example"},
            ['spec.externalName is ignored when spec.type is not "ExternalName"'],
            id="external name of a ClusterIP",
        ),
    ],
)
def test_warnings(given: Obj, said: list[str]) -> None:
    assert SERVICE.warnings
    assert list(SERVICE.warnings(create(service(**given)))) == said


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


def test_a_port_that_comes_later_gets_a_node_port_of_its_own() -> None:
    both = [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]
    found = pools()
    made = create(service(type="NodePort", ports=both), found)
    first, second = (port["nodePort"] for port in made["spec"]["ports"])
    assert first == second
    old = create(service(type="NodePort", ports=both[1:]), found)
    (kept,) = (port["nodePort"] for port in old["spec"]["ports"])
    new, causes = update(service(type="NodePort", ports=both), old, found)
    assert not causes
    one, other = (port["nodePort"] for port in new["spec"]["ports"])
    assert other == kept != one
