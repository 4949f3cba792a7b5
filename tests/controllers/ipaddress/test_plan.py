"""Services and their addresses: what differs, and what is done about it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.controllers.ipaddress.plan import LookAgain, Make, Remove, Tell, plan_address, plan_service
from seamark.model.ipaddress import IPAddress
from seamark.model.service import Service

NOW = 1795514400.0  # 2026-11-24T10:00:00Z
LABELS = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
RANGES = ("10.96.0.0/12",)
IP = "10.96.0.9"


def service(name: str = "web", ip: str = IP, type: str = "ClusterIP") -> Service:
    spec = {"clusterIP": ip, "clusterIPs": [ip], "type": type}
    return msgspec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Service)


def address(name: str = "web", labels: dict[str, str] | None = None, **parent: Any) -> IPAddress:
    ref = {"resource": "services", "namespace": "default", "name": name, **parent}
    meta = {"name": IP, "labels": LABELS if labels is None else labels, "creationTimestamp": "2026-11-24T09:59:50Z"}
    return msgspec.convert({"metadata": meta, "spec": {"parentRef": ref}}, IPAddress)


WRONG = f"the ClusterIP [IPv4]: {IP} for Service default/web has a wrong reference; repairing"


@pytest.mark.parametrize(
    ("found", "other", "wanted"),
    [
        pytest.param(address(), None, (), id="all is well"),
        pytest.param(
            None,
            None,
            (Make(IP, None, "ClusterIPNotAllocated", f"Cluster IP [IPv4]: {IP} is not allocated; repairing"),),
            id="deleted by somebody",
        ),
        pytest.param(
            address(resource="pods"),
            None,
            (Make(IP, address(resource="pods"), "ClusterIPNotAllocated", WRONG),),
            id="of something else",
        ),
        pytest.param(
            address("gone"),
            None,
            (Make(IP, address("gone"), "ClusterIPNotAllocated", WRONG),),
            id="of a Service that is not",
        ),
        pytest.param(
            address("other"),
            service("other"),
            (
                Tell(
                    "ClusterIPAlreadyAllocated",
                    f"Cluster IP [IPv4]:{IP} was assigned to multiple services; please recreate service",
                ),
            ),
            id="of another Service too",
        ),
        pytest.param(address(labels={}), None, (Make(IP, address(labels={})),), id="without its labels"),
    ],
)
def test_plan_service(found: IPAddress | None, other: Service | None, wanted: tuple[Make | Tell, ...]) -> None:
    assert plan_service(service(), lambda ip: found, lambda key: other, RANGES) == wanted


def test_address_outside_of_every_range_is_told() -> None:
    (told,) = plan_service(service(ip="192.0.2.1"), lambda ip: None, lambda key: None, RANGES)
    assert told == Tell(
        "ClusterIPOutOfRange",
        "Cluster IP [IPv4]: 192.0.2.1 is not within any configured Service CIDR; please recreate service",
    )


@pytest.mark.parametrize(
    ("one", "of", "at", "wanted"),
    [
        pytest.param(address(), service(), NOW, None, id="its Service holds it"),
        pytest.param(address(labels={}), None, NOW + 999, None, id="hand-made"),
        pytest.param(address(), None, NOW, LookAgain(51.0), id="its Service may still come"),
        pytest.param(
            address(),
            None,
            NOW + 60,
            Remove(
                "IPAddressNotAllocated", f"IPAddress: {IP} for Service default/web appears to have leaked: cleaning up"
            ),
            id="leaked",
        ),
        pytest.param(
            address(),
            service(ip="10.96.0.10"),
            NOW,
            Remove(
                "IPAddressWrongReference", f"IPAddress: {IP} for Service default/web has a wrong reference; cleaning up"
            ),
            id="its Service holds another",
        ),
    ],
)
def test_plan_address(one: IPAddress, of: Service | None, at: float, wanted: Remove | LookAgain | None) -> None:
    assert plan_address(one, of, now=at) == wanted
