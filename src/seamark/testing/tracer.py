"""The packet tracer: what a Ruleset does to the first packet of a connection, without a kernel.

It answers where a packet may go, whether it is refused or dropped, and whether its source is rewritten, so that
tests say behaviour and not rules. ``trace`` reads a Ruleset; ``testing/fakenft.py`` reads the nft product for the
same Packet, and the real kernel is asked by the net-marked scenarios: one table of flows, three engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

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


def trace(ruleset: Ruleset, packet: Packet) -> Outcome:
    """What happens to ``packet`` on the node of the ruleset."""
    node = ruleset.node
    internal = _find(ruleset, Frontend("internal", packet.destination, packet.protocol, packet.port))
    if internal is not None:
        marked = node.masquerade_all or (detects_pods(node) and origin_of(packet, node) != "pod")
        return _outcome(internal.internal, packet, node, marked=marked)
    external = _find(ruleset, Frontend("external", packet.destination, packet.protocol, packet.port))
    if external is not None:
        return _external(external, packet, node)
    if packet.destination in node.node_ips and node.serves_node_ports_on(packet.destination):
        by_port = _find(ruleset, Frontend("external", "", packet.protocol, packet.port))
        return _external(by_port, packet, node) if by_port is not None else PASS
    if any(packet.destination in rules.cluster_ips for rules in ruleset.ports.values()):
        return Outcome("refuse")
    return Outcome("drop") if in_any(packet.destination, node.service_cidrs) else PASS


def detects_pods(node: NodeConfig) -> bool:
    return node.detects_pods("IPv4") or node.detects_pods("IPv6")


def origin_of(packet: Packet, node: NodeConfig) -> Origin:
    if _is_pod(packet, node):
        return "pod"
    return "node" if packet.source in node.node_ips else "outside"


def _is_pod(packet: Packet, node: NodeConfig) -> bool:
    if node.pod_bridge:
        return packet.interface == node.pod_bridge
    if node.pod_interface_prefix:
        return packet.interface.startswith(node.pod_interface_prefix)
    return in_any(packet.source, node.pod_cidrs)


def in_any(ip: str, cidrs: Iterable[str]) -> bool:
    address = ip_address(ip)
    return any(address in network for network in map(ip_network, cidrs) if network.version == address.version)


def _find(ruleset: Ruleset, frontend: Frontend) -> PortRules | None:
    claims = [key for key, rules in ruleset.ports.items() if frontend in rules.frontends]
    return ruleset.ports[min(claims)] if claims else None


def _external(rules: PortRules, packet: Packet, node: NodeConfig) -> Outcome:
    guarded = rules.source_ranges and packet.destination in rules.load_balancer_ips
    if guarded and not in_any(packet.source, rules.source_ranges):
        return Outcome("drop")
    short = rules.external_short_circuit
    if short is None:
        return _outcome(rules.external, packet, node, marked=True)
    origin = origin_of(packet, node)
    if origin == "outside":
        return _outcome(rules.external, packet, node, marked=False)
    return _outcome(short, packet, node, marked=origin == "node")


def _outcome(target: Target, packet: Packet, node: NodeConfig, *, marked: bool) -> Outcome:
    if target.action != "balance":
        return Outcome(target.action)
    endpoints = frozenset(show(e.ip, e.port) for e in target.endpoints)
    hairpin = (show(e.ip, e.port) for e in target.endpoints if e.ip == packet.source and e.node == node.name)
    return Outcome("balance", endpoints, endpoints if marked else frozenset(hairpin))


def show(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
