"""The packet tracer: what a Ruleset does to the first packet of a connection, without a kernel, and why.

It answers where a packet may go, whether it is refused or dropped, and whether its source is rewritten. ``decide`` says
it for a service port whose frontend is known (a userspace proxy chooses by it), ``explain`` finds the port, ``trace``
gives the outcome alone, so that tests say behaviour and not rules. ``testing/fakenft.py`` reads the nft product for
the same Packet, and the real kernel is asked by the net-marked scenarios: one table of flows, three engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal, NamedTuple

from seamark.compile.ruleset import Frontend, NodeConfig, PortRules, Protocol, Ruleset, Target

Origin = Literal["node", "pod", "outside"]


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection as it enters the node (or leaves it, when ``source`` is the node's own)."""

    source: str
    destination: str
    port: int
    protocol: Protocol = "TCP"
    interface: str = ""
    """Where it comes in; empty for the node's own, and where the source address tells who it is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``balance``: to one of ``endpoints`` (ip:port). ``masqueraded`` are those that would see a node address
    instead of the client's: all, none, or by hairpin the client itself. ``pass``: not ours, untouched.
    """

    action: Literal["balance", "refuse", "drop", "pass"]
    endpoints: frozenset[str] = frozenset()
    masqueraded: frozenset[str] = frozenset()


PASS = Outcome("pass")


class Decision(NamedTuple):
    """An outcome and how it came about. ``target``: the list in question, None where none was asked."""

    outcome: Outcome
    because: str
    rules: PortRules | None = None
    frontend: Frontend | None = None
    target: Target | None = None


def trace(ruleset: Ruleset, packet: Packet) -> Outcome:
    """What happens to ``packet`` on the node of the ruleset."""
    return explain(ruleset, packet).outcome


def explain(ruleset: Ruleset, packet: Packet) -> Decision:
    """The same, and by which Service and rule."""
    node = ruleset.node
    for frontend in _frontends(packet, node):
        rules = _find(ruleset, frontend)
        if rules is not None:
            return decide(rules, frontend, packet, node)
    if packet.destination in node.node_ips and node.serves_node_ports_on(packet.destination):
        return Decision(PASS, "an address of the node, and no Service has this node port")
    if any(packet.destination in rules.cluster_ips for rules in ruleset.ports.values()):
        return Decision(Outcome("refuse"), "a ClusterIP whose Service has no such port")
    if in_any(packet.destination, node.service_cidrs):
        return Decision(Outcome("drop"), "an address of the service range that no Service has")
    return Decision(PASS, "no address of any Service")


def decide(rules: PortRules, frontend: Frontend, packet: Packet, node: NodeConfig) -> Decision:
    """What happens to a packet that has come to this frontend of this service port."""
    if frontend.scope == "internal":
        known = detects_pods(node)
        outsider = known and origin_of(packet, node) != "pod"
        why = "masqueradeAll" if node.masquerade_all else "the client is no pod" if outsider else "the client is a pod"
        why = why if known or node.masquerade_all else "nothing tells pods from others"
        found = _Found(rules, frontend, rules.internal, marked=node.masquerade_all or outsider)
        return _decision(found, packet, node, why)
    guarded = rules.source_ranges and packet.destination in rules.load_balancer_ips
    if guarded and not in_any(packet.source, rules.source_ranges):
        return Decision(Outcome("drop"), "loadBalancerSourceRanges does not hold the client", rules, frontend)
    short = rules.external_short_circuit
    if short is None:
        found = _Found(rules, frontend, rules.external, marked=True)
        return _decision(found, packet, node, "externalTrafficPolicy Cluster: from outside, everybody is masqueraded")
    origin = origin_of(packet, node)
    if origin == "outside":
        found = _Found(rules, frontend, rules.external, marked=False)
        return _decision(found, packet, node, "externalTrafficPolicy Local: outsiders get this node's endpoints")
    found = _Found(rules, frontend, short, marked=origin == "node")
    return _decision(
        found, packet, node, f"externalTrafficPolicy Local: the client is {_ORIGINS[origin]}, and gets all"
    )


def detects_pods(node: NodeConfig) -> bool:
    return node.detects_pods("IPv4") or node.detects_pods("IPv6")


def origin_of(packet: Packet, node: NodeConfig) -> Origin:
    """Who sends. A packet from an address to itself, or from loopback, is the node's own."""
    if _is_pod(packet, node):
        return "pod"
    own = packet.source in (packet.destination, *node.node_ips) or ip_address(packet.source).is_loopback
    return "node" if own else "outside"


def _is_pod(packet: Packet, node: NodeConfig) -> bool:
    if node.pod_bridge:
        return packet.interface == node.pod_bridge
    if node.pod_interface_prefix:
        return packet.interface.startswith(node.pod_interface_prefix)
    return in_any(packet.source, node.pod_cidrs)


def in_any(ip: str, cidrs: Iterable[str]) -> bool:
    address = ip_address(ip)
    return any(address in network for network in map(ip_network, cidrs) if network.version == address.version)


def _frontends(packet: Packet, node: NodeConfig) -> Iterable[Frontend]:
    """What the packet may be addressed to, in the order in which the kernel looks."""
    yield Frontend("internal", packet.destination, packet.protocol, packet.port)
    yield Frontend("external", packet.destination, packet.protocol, packet.port)
    if packet.destination in node.node_ips and node.serves_node_ports_on(packet.destination):
        yield Frontend("external", "", packet.protocol, packet.port)


def _find(ruleset: Ruleset, frontend: Frontend) -> PortRules | None:
    claims = [key for key, rules in ruleset.ports.items() if frontend in rules.frontends]
    return ruleset.ports[min(claims)] if claims else None


_ORIGINS = {"pod": "a pod", "node": "the node itself", "outside": "from outside"}


class _Found(NamedTuple):
    rules: PortRules
    frontend: Frontend
    target: Target
    marked: bool


def _decision(found: _Found, packet: Packet, node: NodeConfig, because: str) -> Decision:
    rules, frontend, target, marked = found
    if target.action == "refuse":
        return Decision(Outcome("refuse"), "no endpoint of it can be used anywhere", rules, frontend, target)
    if target.action == "drop":
        return Decision(Outcome("drop"), "policy Local, and no endpoint on this node", rules, frontend, target)
    endpoints = frozenset(show(e.ip, e.port) for e in target.endpoints)
    hairpin = (show(e.ip, e.port) for e in target.endpoints if e.ip == packet.source and e.node == node.name)
    outcome = Outcome("balance", endpoints, endpoints if marked else frozenset(hairpin))
    if not any(e.ready for e in target.endpoints):
        because += "; none is ready, so those that serve while they end are used"
    return Decision(outcome, because, rules, frontend, target)


def show(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
