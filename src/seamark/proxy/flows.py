"""Which UDP flows point to an endpoint that is no longer there (pure); the proxy deletes them.

Rule: a flow is stale if its original destination is a frontend of a UDP service port and who answers is not a serving
endpoint of it. That covers endpoints that went, and flows begun before the Service or its endpoints existed. A
terminating endpoint that still serves keeps its flows. A port without any serving endpoint keeps its flows too: there
is nothing to move to. Policies are ignored on purpose. TCP is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamark.compile.ruleset import NodeConfig, PortRules
from seamark.linux.conntrack import Flow

Serving = frozenset[tuple[str, int]]
Frontends = Mapping[tuple[str, int], Serving]
"""(address, port) -> who may answer; a node port has no address."""


def select_udp(ports: Iterable[PortRules]) -> dict[tuple[str, int], Serving]:
    """The UDP frontends of the given ports."""
    return {
        (frontend.ip, frontend.port): rules.serving
        for rules in ports
        if rules.key.protocol == "UDP" and rules.serving
        for frontend in rules.frontends
    }


def select_stale(flows: Iterable[Flow], frontends: Frontends, node: NodeConfig) -> list[Flow]:
    return [flow for flow in flows if _is_stale(flow, frontends, node)]


def _is_stale(flow: Flow, frontends: Frontends, node: NodeConfig) -> bool:
    serving = frontends.get((flow.destination, flow.port))
    if serving is None:
        # A node port is served on the node's addresses alone; what merely passes through to such a port is not ours.
        translated = flow.destination != flow.server
        if translated or flow.destination in node.node_ips:
            serving = frontends.get(("", flow.port))
    return serving is not None and (flow.server, flow.server_port) not in serving
