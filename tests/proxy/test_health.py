"""What /healthz and /livez say, and which health check a Service has."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.ruleset import REFUSE, NodeConfig, PortKey, PortRules, Target
from seamark.model import codec
from seamark.model.meta import UNKNOWN
from seamark.model.node import Node
from seamark.proxy.health import AUTOSCALER_TAINT, ProxyHealth
from seamark.proxy.healthports import HealthCheck, select_health_check
from seamark.testing.builders import make_node
from seamark.testing.clock import FakeClock

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))


def node(**changes: Any) -> Node:
    return codec.convert(make_node("node1", **changes), Node)


@pytest.fixture
def health(clock: FakeClock) -> ProxyHealth:
    made = ProxyHealth(clock, ("IPv4", "IPv6"))
    made.observe_node(node())
    return made


async def test_healthy_once_rules_are_in_force_and_until_a_change_waits_too_long(
    health: ProxyHealth, clock: FakeClock
) -> None:
    assert health.report(node=True)[0] == 503
    health.updated()
    status, found = health.report(node=True)
    assert status == 200
    assert found["nodeEligible"] is True
    assert found["lastUpdated"] == found["currentTime"]
    assert set(found["status"]) == {"IPv4", "IPv6"}
    health.queued()
    await clock.advance(59)
    health.queued()  # more changes do not make the first one younger
    assert health.is_healthy
    await clock.advance(1)
    assert health.report(node=True)[0] == health.report(node=False)[0] == 503
    health.updated()
    assert health.is_healthy


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(None, id="unknown"),
        pytest.param(node(taints=[{"key": AUTOSCALER_TAINT, "effect": "NoSchedule"}]), id="to be deleted"),
        pytest.param(
            codec.convert({"metadata": {"name": "node1", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, Node),
            id="being deleted",
        ),
    ],
)
def test_a_node_that_leaves_takes_no_traffic_but_its_proxy_lives(health: ProxyHealth, gone: Node | None) -> None:
    health.updated()
    health.observe_node(gone)
    status, found = health.report(node=True)
    assert (status, found["nodeEligible"]) == (503, False)
    status, found = health.report(node=False)
    assert status == 200
    assert "nodeEligible" not in found


def endpoint(ip: str, *, ready: bool = True, on: str = "node1") -> BackendEndpoint:
    return BackendEndpoint(ip, 8080, ready, True, not ready, on, "", UNKNOWN)


def rules(*endpoints: BackendEndpoint, name: str = "http", port: int = 32100) -> PortRules:
    target = Target("balance", endpoints, "local") if endpoints else REFUSE
    key = PortKey("default", "web", name, "TCP")
    return PortRules(key, 80, ("10.96.0.9",), target, target, target, health_check_port=port)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param([rules(endpoint("10.244.1.2"))], 1, id="one"),
        pytest.param([rules(endpoint("10.244.1.2")), rules(endpoint("10.244.1.2"), name="b")], 1, id="once an address"),
        pytest.param([rules(endpoint("10.244.1.2")), rules(endpoint("10.244.1.3"), name="b")], 2, id="over all ports"),
        pytest.param([rules(endpoint("10.244.1.2", ready=False))], 0, id="terminating ones do not count"),
        pytest.param([rules(endpoint("10.244.2.2", on="node2"))], 0, id="other nodes do not count"),
        pytest.param([rules()], 0, id="none at all"),
    ],
)
def test_health_check_counts_ready_addresses_of_this_node(given: list[PortRules], wanted: int) -> None:
    assert select_health_check(given, NODE) == HealthCheck(32100, wanted)


def test_without_a_port_there_is_no_health_check() -> None:
    assert select_health_check([rules(endpoint("10.244.1.2"), port=0)], NODE) is None
