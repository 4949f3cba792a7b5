"""Which UDP flows are stale."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.ruleset import REFUSE, NodeConfig, PortKey, PortRules
from seamark.linux.conntrack import Flow
from seamark.proxy.flows import select_stale, select_udp

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
ALIVE = frozenset({("10.244.0.2", 5353)})


def rules(protocol: Any = "UDP", serving: frozenset[tuple[str, int]] = ALIVE) -> PortRules:
    return PortRules(
        key=PortKey("default", "dns", "dns", protocol),
        port=53,
        cluster_ips=("10.96.0.10",),
        internal=REFUSE,
        external=REFUSE,
        external_short_circuit=None,
        node_port=30053,
        external_ips=("192.0.2.10",),
        serving=serving,
    )


@pytest.mark.parametrize(
    ("flow", "stale"),
    [
        pytest.param(("10.96.0.10", 53, "10.244.0.2", 5353), False, id="a serving endpoint"),
        pytest.param(("10.96.0.10", 53, "10.244.0.3", 5353), True, id="an endpoint that went"),
        pytest.param(("10.96.0.10", 53, "10.244.0.2", 5354), True, id="its former port"),
        pytest.param(("10.96.0.10", 53, "10.96.0.10", 53), True, id="begun before there was an endpoint"),
        pytest.param(("192.0.2.10", 53, "10.244.0.3", 5353), True, id="by external IP"),
        pytest.param(("172.30.0.11", 30053, "10.244.0.3", 5353), True, id="by node port"),
        pytest.param(("172.30.0.11", 30053, "172.30.0.11", 30053), True, id="to the node itself, before the Service"),
        pytest.param(("203.0.113.9", 30053, "10.244.0.3", 5353), True, id="node port on another address"),
        pytest.param(("203.0.113.9", 30053, "203.0.113.9", 30053), False, id="passing through to such a port"),
        pytest.param(("10.96.0.10", 54, "10.244.0.3", 5353), False, id="another port"),
        pytest.param(("10.96.0.11", 53, "10.244.0.3", 5353), False, id="another Service"),
    ],
)
def test_stale(flow: tuple[str, int, str, int], stale: bool) -> None:
    assert bool(select_stale([Flow(*flow, b"")], select_udp([rules()]), NODE)) is stale


@pytest.mark.parametrize(
    "given", [pytest.param(rules("TCP"), id="TCP"), pytest.param(rules(serving=frozenset()), id="nowhere to move to")]
)
def test_ports_whose_flows_are_left_alone(given: PortRules) -> None:
    assert select_udp([given]) == {}
