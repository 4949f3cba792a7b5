"""A folder of ``tests/scenarios``: objects, and where packets must go; and what real packets do about it.

The same flows are asked of the tracer, of every backend on a real kernel, and of a real kube-proxy
(``make conformance-proxy``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from seamark.compile.addresses import Family, family_of
from seamark.compile.manifest import parse_manifest
from seamark.compile.ruleset import NodeConfig, Ruleset, compile_ruleset
from seamark.compile.tracer import Outcome, Packet
from seamark.model.meta import ObjectKey
from seamark.model.node import ZONE_LABEL
from seamark.model.snapshot import Snapshot
from seamark.testing.networld import OUTSIDE, OUTSIDE6, World, has_sctp, make_world

POD_CIDRS, SERVICE_CIDRS = ("10.244.0.0/16", "fd00:244::/32"), ("10.96.0.0/12", "fd00:96::/112")
HERE_PREFIXES = ("10.244.1.", "fd00:244:1:")
ACTIONS = {"answer": "balance", "refused": "refuse", "timeout": "drop", "unreachable": "unreachable"}


class Flow(msgspec.Struct, forbid_unknown_fields=True):
    """One line of flows.yaml. ``masqueraded``: ``all``, or the endpoints that see the node's address as the client."""

    case: str
    source: str = msgspec.field(name="from")
    to: str
    protocol: str = "TCP"
    endpoints: list[str] = []
    outcome: str = "balance"
    masqueraded: str | list[str] = []
    sticky: bool = False

    @property
    def packet(self) -> Packet:
        ip, _, port = self.to.rpartition(":")
        return Packet(self.source, ip.strip("[]"), int(port), self.protocol)  # type: ignore[arg-type]  # by the tracer

    @property
    def family(self) -> Family:
        return "IPv6" if ":" in self.source else "IPv4"

    @property
    def wanted(self) -> Outcome:
        rewritten = self.endpoints if self.masqueraded == "all" else self.masqueraded
        return Outcome(self.outcome, frozenset(self.endpoints), frozenset(rewritten))  # type: ignore[arg-type]

    @property
    def is_packets(self) -> bool:
        """Whether real packets can show it: what passes by meets nobody, and not every kernel has SCTP."""
        return self.outcome != "pass" and (self.protocol != "SCTP" or has_sctp())


class Flows(msgspec.Struct, forbid_unknown_fields=True):
    node: str
    flows: list[Flow]


def read_flows(folder: Path) -> Flows:
    return msgspec.convert(yaml.safe_load((folder / "flows.yaml").read_text()), Flows)


def read_snapshot(folder: Path) -> Snapshot:
    return parse_manifest((folder / "objects.yaml").read_text()).snapshot


def read_ruleset(folder: Path, family: Family = "IPv4") -> Ruleset:
    snapshot = read_snapshot(folder)
    return compile_ruleset(snapshot, node_config(snapshot, read_flows(folder).node), family=family)


def node_config(snapshot: Snapshot, name: str) -> NodeConfig:
    node = snapshot.nodes[ObjectKey("", name)]
    ranges = (POD_CIDRS, SERVICE_CIDRS)
    return NodeConfig(name, node.internal_ips, *ranges, zone=node.labels.get(ZONE_LABEL, ""))


@contextmanager
def scenario_world(folder: Path, directory: Path) -> Iterator[World]:
    """The scenario's node with its pods and everybody who sends. Nobody answers before :func:`serve_endpoints`."""
    ruleset, flows = read_ruleset(folder), read_flows(folder).flows
    everybody = {ip for ip, _, _ in _servers(folder)} | {flow.source for flow in flows}
    here = sorted(ip for ip in everybody if ip.startswith(HERE_PREFIXES))
    away = sorted(everybody - set(here) - set(ruleset.node.node_ips) - {OUTSIDE, OUTSIDE6})
    node, node6 = (*ruleset.node.node_ips, "")[:2]
    with make_world(directory, node=node, node6=node6, pods=here, outside=away) as made:
        yield made


async def serve_endpoints(world: World, folder: Path) -> None:
    for ip, port, protocol in sorted(_servers(folder)):
        await world.serve(ip, port, protocol)


def _servers(folder: Path) -> set[tuple[str, int, str]]:
    return {
        (endpoint.addresses[0], port.port, port.protocol or "TCP")
        for piece in read_snapshot(folder).slices.values()
        for endpoint in piece.endpoints or []
        for port in piece.ports or []
        if endpoint.addresses and port.port and family_of(endpoint.addresses[0]) == piece.address_type
        if port.protocol != "SCTP" or has_sctp()
    }


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of many connections of one flow. ``actions``: more than one where they did not all fare alike."""

    actions: frozenset[str]
    servers: frozenset[str]
    masqueraded: frozenset[str]

    def fits(self, flow: Flow) -> bool:
        wanted = flow.wanted
        if self.actions != {wanted.action}:
            return False
        if flow.sticky:
            return len(self.servers) == 1 and self.servers <= wanted.endpoints and self._masquerades(wanted)
        return self.servers == wanted.endpoints and self._masquerades(wanted)

    def _masquerades(self, wanted: Outcome) -> bool:
        return self.masqueraded == self.servers & wanted.masqueraded

    def __str__(self) -> str:
        words = {"refuse": "refused", "drop": "no answer", "unreachable": "unreachable"}
        found = [words[action] for action in sorted(self.actions) if action in words]
        found += [f"{ip} masqueraded" if ip in self.masqueraded else ip for ip in sorted(self.servers)]
        return ", ".join(found)


async def observe(world: World, flow: Flow, *, tries: int = 300, patience: float = 2.0) -> Seen:
    """Connects until every endpoint was seen (at least 20 times), or one connection fares otherwise than wanted."""
    packet, wanted = flow.packet, flow.wanted
    own = world.node6 if flow.family == "IPv6" else world.node
    actions, servers, masqueraded = set[str](), set[str](), set[str]()
    goal = 1 if flow.sticky else len(wanted.endpoints)
    for number in range(tries if wanted.action == "balance" else 1):
        if len(servers) >= goal and number >= 20:
            break
        answer = await world.ask(packet.source, packet.destination, packet.port, packet.protocol, patience=patience)
        actions.add(ACTIONS[answer.result])
        if answer.result != "answer":
            break
        servers.add(answer.server)
        if answer.client == own:
            masqueraded.add(answer.server)
        elif answer.client != packet.source:
            actions.add(f"from {answer.client}")
    if packet.source == own:  # who is masqueraded to itself looks the same: the facts say that it is
        masqueraded &= wanted.masqueraded
    return Seen(frozenset(actions), frozenset(servers), frozenset(masqueraded))
