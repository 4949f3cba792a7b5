"""What a Service is given of the shared pools, what it keeps and what it gives back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.machinery.status import StatusError
from seamark.resources.core.allocators import ServicePools
from seamark.resources.core.service import SERVICE
from seamark.testing.builders import sent_service as service
from seamark.testing.writes import Writes, service_pools

Obj = dict[str, Any]
WRITES = Writes(SERVICE, service_pools)
create, refused, update = WRITES.create, WRITES.refused, WRITES.update


def test_dual_stack_cluster_gives_both() -> None:
    spec = create(service(ipFamilyPolicy="RequireDualStack"), service_pools("10.96.0.0/12", "fd00::/108"))["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    assert spec["clusterIPs"][0].startswith("10.")
    assert spec["clusterIPs"][1].startswith("fd00::")


def test_a_cluster_that_gained_a_family_leaves_services_alone() -> None:
    old = create(service(ipFamilyPolicy="PreferDualStack"))
    both = service_pools("10.96.0.0/12", "fd00::/108")
    both.adopt(old)
    assert update(old, old, both) == (old, [])
    asked = deepcopy(old)
    asked["spec"]["ipFamilyPolicy"] = "RequireDualStack"
    new, causes = update(asked, old, both)
    assert causes == []
    assert new["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert new["spec"]["clusterIPs"][0] == old["spec"]["clusterIP"]


def test_going_back_to_one_family_frees_the_second_address() -> None:
    both = service_pools("10.96.0.0/12", "fd00::/108")
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


def test_a_port_that_comes_later_gets_a_node_port_of_its_own() -> None:
    both = [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]
    found = service_pools()
    made = create(service(type="NodePort", ports=both), found)
    first, second = (port["nodePort"] for port in made["spec"]["ports"])
    assert first == second
    old = create(service(type="NodePort", ports=both[1:]), found)
    (kept,) = (port["nodePort"] for port in old["spec"]["ports"])
    new, causes = update(service(type="NodePort", ports=both), old, found)
    assert not causes
    one, other = (port["nodePort"] for port in new["spec"]["ports"])
    assert other == kept != one


def test_local_load_balancer_gets_a_health_check_port() -> None:
    spec = create(service(type="LoadBalancer", externalTrafficPolicy="Local"))["spec"]
    assert 30000 <= spec["healthCheckNodePort"] <= 32767
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]


def test_load_balancer_may_do_without_node_ports() -> None:
    spec = create(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))["spec"]
    assert "nodePort" not in spec["ports"][0]


def test_node_ports_are_kept_by_port_name() -> None:
    old = create(service(type="NodePort", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    sent = service(type="NodePort", ports=[{"name": "b", "port": 82}, {"name": "c", "port": 83}])
    new, causes = update(sent, old)
    assert causes == []
    numbers = {p["name"]: p["nodePort"] for p in old["spec"]["ports"]}
    assert new["spec"]["ports"][0]["nodePort"] == numbers["b"]
    assert new["spec"]["ports"][1]["nodePort"] not in numbers.values()


def test_taken_address_is_refused() -> None:
    found = service_pools()
    create(service(clusterIP="10.96.0.50"), found)
    assert refused(service(clusterIP="10.96.0.50"), found) == [
        'spec.clusterIPs: Invalid value: ["10.96.0.50"]: failed to allocate IP 10.96.0.50: '
        "provided IP is already allocated"
    ]


def test_taken_node_port_is_refused_and_leaves_no_address_behind() -> None:
    found = service_pools("10.0.0.0/28")
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
            {},
            service_pools("10.0.0.0/31"),
            'failed to allocate a serviceIP for Service "web": range is full',
            id="addresses",
        ),
        pytest.param(
            {"type": "NodePort"},
            service_pools(ports=(30000, 29999)),
            "failed to allocate a nodePort: range is full",
            id="node ports",
        ),
    ],
)
def test_full_range_is_an_internal_error(given: Obj, found: ServicePools, message: str) -> None:
    with pytest.raises(StatusError, match=message) as caught:
        create(service(**given), found)
    assert caught.value.code == 500


def test_external_name_to_cluster_ip_gets_an_address() -> None:
    old = create(service(type="ExternalName", externalName="db.example"))
    sent = deepcopy(old)
    sent["spec"]["type"] = "ClusterIP"
    new, causes = update(sent, old)
    assert causes == []
    assert new["spec"]["clusterIP"].startswith("10.")


def test_becoming_external_name_frees_the_address() -> None:
    found = service_pools()
    old = create(service(clusterIP="10.96.0.60"), found)
    update(service(type="ExternalName", externalName="db.example"), old, found)
    create(service(clusterIP="10.96.0.60"), found)
