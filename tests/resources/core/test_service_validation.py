"""What is refused of a Service, and what is only warned of, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.resources.core.service import SERVICE
from seamark.testing.builders import sent_service as service
from seamark.testing.writes import Writes, service_pools, shown

Obj = dict[str, Any]
WRITES = Writes(SERVICE, service_pools)
create, refused, update = WRITES.create, WRITES.refused, WRITES.update

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
