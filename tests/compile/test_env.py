"""What a pod finds in its environment about Services (TUTORIAL A)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from seamark.compile.env import compile_env
from seamark.model import codec
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot


def service(name: str, ip: str, *ports: Mapping[str, Any], namespace: str = "default", **spec: Any) -> Service:
    given = {
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "7"},
        "spec": {"clusterIP": ip, "ports": list(ports), **spec},
    }
    return codec.convert(given, Service)


KUBERNETES = service("kubernetes", "10.96.0.1", {"name": "https", "port": 443, "targetPort": 6443})
WEB = service("service-test", "10.96.7.9", {"name": "http", "port": 80, "protocol": "TCP"})

KUBERNETES_VARIABLES = [
    ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ("KUBERNETES_SERVICE_PORT", "443"),
    ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
    ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
    ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
    ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
    ("KUBERNETES_PORT_443_TCP_PORT", "443"),
    ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
]
WEB_VARIABLES = [
    ("SERVICE_TEST_SERVICE_HOST", "10.96.7.9"),
    ("SERVICE_TEST_SERVICE_PORT", "80"),
    ("SERVICE_TEST_SERVICE_PORT_HTTP", "80"),
    ("SERVICE_TEST_PORT", "tcp://10.96.7.9:80"),
    ("SERVICE_TEST_PORT_80_TCP", "tcp://10.96.7.9:80"),
    ("SERVICE_TEST_PORT_80_TCP_PROTO", "tcp"),
    ("SERVICE_TEST_PORT_80_TCP_PORT", "80"),
    ("SERVICE_TEST_PORT_80_TCP_ADDR", "10.96.7.9"),
]


def variables(*services: Service, namespace: str = "default", enable_service_links: bool = True) -> list[Any]:
    block = compile_env(Snapshot.of(services), namespace, enable_service_links=enable_service_links)
    return [(v.name, v.value) for v in block.variables]


@pytest.mark.parametrize(
    ("services", "namespace", "links", "wanted"),
    [
        pytest.param([WEB, KUBERNETES], "default", True, KUBERNETES_VARIABLES + WEB_VARIABLES, id="own namespace"),
        pytest.param([WEB, KUBERNETES], "other", True, KUBERNETES_VARIABLES, id="another namespace"),
        pytest.param([WEB, KUBERNETES], "default", False, KUBERNETES_VARIABLES, id="links off"),
        pytest.param([WEB], "default", True, WEB_VARIABLES, id="no API server Service yet"),
        pytest.param([service("h", "None", {"port": 80})], "default", True, [], id="headless"),
        pytest.param([service("p", "", {"port": 80})], "default", True, [], id="not allocated"),
        pytest.param([service("x", "", type="ExternalName", externalName="a.b")], "default", True, [], id="external"),
        pytest.param([service("n", "10.96.0.2")], "default", True, [], id="no ports"),
    ],
)
def test_which_services_are_seen(services: list[Service], namespace: str, links: bool, wanted: list[Any]) -> None:
    assert variables(*services, namespace=namespace, enable_service_links=links) == wanted


def test_several_ports_named_and_not_in_the_order_given() -> None:
    ports = ({"port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"})
    assert variables(service("kube-dns", "10.96.0.10", *ports)) == [
        ("KUBE_DNS_SERVICE_HOST", "10.96.0.10"),
        ("KUBE_DNS_SERVICE_PORT", "53"),
        ("KUBE_DNS_SERVICE_PORT_DNS_TCP", "53"),
        ("KUBE_DNS_PORT", "udp://10.96.0.10:53"),
        ("KUBE_DNS_PORT_53_UDP", "udp://10.96.0.10:53"),
        ("KUBE_DNS_PORT_53_UDP_PROTO", "udp"),
        ("KUBE_DNS_PORT_53_UDP_PORT", "53"),
        ("KUBE_DNS_PORT_53_UDP_ADDR", "10.96.0.10"),
        ("KUBE_DNS_PORT_53_TCP", "tcp://10.96.0.10:53"),
        ("KUBE_DNS_PORT_53_TCP_PROTO", "tcp"),
        ("KUBE_DNS_PORT_53_TCP_PORT", "53"),
        ("KUBE_DNS_PORT_53_TCP_ADDR", "10.96.0.10"),
    ]


def test_ipv6_address_is_bracketed_in_the_url_only() -> None:
    found = dict(variables(service("v6", "fd00::1", {"port": 80})))
    assert found["V6_PORT"] == found["V6_PORT_80_TCP"] == "tcp://[fd00::1]:80"
    assert found["V6_SERVICE_HOST"] == found["V6_PORT_80_TCP_ADDR"] == "fd00::1"


def test_a_namesake_of_the_api_server_service_wins_where_links_are_on() -> None:
    own = service("kubernetes", "10.96.9.9", {"port": 1}, namespace="dev")
    assert ("KUBERNETES_SERVICE_HOST", "10.96.9.9") in variables(KUBERNETES, own, namespace="dev")
    without_links = variables(KUBERNETES, own, namespace="dev", enable_service_links=False)
    assert without_links == KUBERNETES_VARIABLES


def test_every_variable_knows_its_service() -> None:
    block = compile_env(Snapshot.of([WEB]), "default", enable_service_links=True)
    assert {str(v.origin) for v in block.variables} == {"Service default/service-test@7"}


def test_the_later_service_wins_a_shared_name() -> None:
    """Port ``service-host`` of Service ``a`` and the address of Service ``a-service-port`` are one name."""
    first = service("a", "10.96.0.2", {"name": "service-host", "port": 80})
    second = service("a-service-port", "10.96.0.3", {"name": "x", "port": 81})
    block = compile_env(Snapshot.of([second, first]), "default", enable_service_links=True)
    values = [v.value for v in block.variables if v.name == "A_SERVICE_PORT_SERVICE_HOST"]
    assert values == ["80", "10.96.0.3"]
    assert block.as_dict()["A_SERVICE_PORT_SERVICE_HOST"] == "10.96.0.3"
