"""PortRules -> what IPVS balances, and nft elements for what IPVS cannot say.

IPVS knows virtual servers (protocol, address, port) with real servers, and takes packets that are addressed to the
node: so every ClusterIP, external IP and load-balancer VIP stands on a dummy link (``addresses``). Node ports are one
virtual server for each address of the node. Masquerading, refusals, drops, source ranges and unused ports are the nft
table's (``compile/ipvstext.py``), in which a Service is elements as well.

Policy Local needs a second list for one address: pods and the node itself are marked, and the mark is a virtual server
of its own over the cluster list. IPVS cannot map ports for a *persistent* virtual server of a mark, so with affinity
they get the local list like everybody, or where that is empty the cluster list with outsiders dropped before.

Where IPVS by its nature differs: persistence is per address and port (a client may get another endpoint by node port
than by ClusterIP), and an endpoint that goes keeps its connections with weight 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import collapse_addresses, ip_network
from typing import NamedTuple
from zlib import crc32

from seamark.compile.ruleset import Frontend, NodeConfig, PortKey, PortRules, Protocol, Target

MARK_PREFIX = 0x5EA
"""Marks of ours begin so, that they meet nobody else's."""
MARKS = 1 << 16
PROTOCOL_ORDER: tuple[Protocol, ...] = ("TCP", "UDP", "SCTP")


class VirtualServer(NamedTuple):
    """What IPVS recognises a packet by: protocol, address and port, or a mark."""

    protocol: Protocol
    ip: str
    port: int
    mark: int = 0


class Reals(NamedTuple):
    """Who serves, as (ip, port); ``seconds`` of persistence, 0 = none."""

    endpoints: frozenset[tuple[str, int]]
    seconds: int = 0


Element = tuple[str, str]
"""(set, element as nft text)."""


@dataclass(slots=True)
class IpvsProduct:
    """What service ports want of the kernel: virtual servers, addresses of the dummy link, nft elements."""

    servers: dict[VirtualServer, Reals] = field(default_factory=dict)
    addresses: set[str] = field(default_factory=set)
    elements: set[Element] = field(default_factory=set)

    def include(self, other: IpvsProduct) -> None:
        self.servers.update(other.servers)
        self.addresses |= other.addresses
        self.elements |= other.elements


class Marks:
    """A number for each service port that needs marks, the same in a later run wherever that is possible."""

    def __init__(self) -> None:
        self._numbers: dict[PortKey, int] = {}
        self._taken: set[int] = set()

    def number(self, key: PortKey) -> int:
        if key not in self._numbers:
            free = crc32(str(key).encode()) % MARKS
            while free in self._taken:
                free = (free + 1) % MARKS
            self._numbers[key] = free
            self._taken.add(free)
        return self._numbers[key]

    def forget(self, key: PortKey) -> None:
        self._taken.discard(self._numbers.pop(key, -1))


def make_mark(number: int, protocol: Protocol, masquerade_mark: int, *, masqueraded: bool) -> int:
    """The whole packet mark: prefix, number and protocol, spread around the masquerade bit."""
    whole = (MARK_PREFIX << 16 | number) << 2 | PROTOCOL_ORDER.index(protocol)
    low = whole & (masquerade_mark - 1)
    return (whole - low) << 1 | low | (masquerade_mark if masqueraded else 0)


def parse_mark(mark: int, masquerade_mark: int) -> Protocol | None:
    """The protocol a mark of ours is for; None for anybody else's."""
    low = mark & (masquerade_mark - 1)
    whole = (mark & ~masquerade_mark) - low >> 1 | low
    return PROTOCOL_ORDER[whole & 3] if whole >> 18 == MARK_PREFIX and whole & 3 < len(PROTOCOL_ORDER) else None


def compile_ipvs(
    ports: Mapping[PortKey, PortRules], owned: Mapping[PortKey, Iterable[Frontend]], world: Surroundings
) -> IpvsProduct:
    """The whole product."""
    found = IpvsProduct()
    for key in sorted(ports):
        found.include(compile_port(ports[key], owned[key], world))
    return found


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The node, the addresses it has beside ours, and the marks given out. ``excluded`` addresses (CIDRs) are somebody
    else's virtual servers.
    """

    node: NodeConfig
    node_addresses: tuple[str, ...] = ()
    marks: Marks = field(default_factory=Marks)
    excluded: tuple[str, ...] = ()

    @property
    def node_port_addresses(self) -> tuple[str, ...]:
        return tuple(ip for ip in self.node_addresses if self.node.serves_node_ports_on(ip))

    def excludes(self, ip: str) -> bool:
        """Whether the address is to be left to somebody else."""
        return any(_within(ip, cidr) for cidr in self.excluded)


def compile_port(rules: PortRules, owned: Iterable[Frontend], world: Surroundings) -> IpvsProduct:
    made = _PortCompiler(rules, world)
    for frontend in owned:
        if frontend.ip and world.excludes(frontend.ip):
            continue
        if frontend.scope == "internal":
            made.internal(frontend)
        else:
            for ip in (frontend.ip,) if frontend.ip else world.node_port_addresses:
                made.external(frontend._replace(ip=ip))
    return made.found


class _PortCompiler:
    def __init__(self, rules: PortRules, world: Surroundings) -> None:
        self.rules = rules
        self.world = world
        self.found = IpvsProduct()

    def internal(self, frontend: Frontend) -> None:
        self._bind(frontend.ip)
        if self._serve(frontend, self.rules.internal):
            self._put("cip", frontend)

    def external(self, frontend: Frontend) -> None:
        rules, short = self.rules, self.rules.external_short_circuit
        self._bind(frontend.ip)
        if rules.source_ranges and frontend.ip in rules.load_balancer_ips:
            self._put("lbguard", frontend)
            self.found.elements |= {("lbsrc", f"{_place(frontend)} . {cidr}") for cidr in _merged(rules.source_ranges)}
        if short is None:
            if self._serve(frontend, rules.external):
                self._put("ext", frontend)
        elif short.action == "balance" and rules.external.action == "drop":
            self._serve(frontend, short)
            self._put("inside", frontend)
        elif self._serve(frontend, rules.external) and not rules.affinity_seconds:
            self._short_circuit(frontend, short)

    def _serve(self, frontend: Frontend, target: Target) -> bool:
        """Whether anybody does."""
        if target.action != "balance":
            self._put("refused" if target.action == "refuse" else "dropped", frontend)
            return False
        server = VirtualServer(frontend.protocol, frontend.ip, frontend.port)
        self.found.servers[server] = Reals(self._reals(target), self.rules.affinity_seconds)
        self._put("balanced", frontend)
        return True

    def _short_circuit(self, frontend: Frontend, target: Target) -> None:
        """The cluster list for pods, and masqueraded for the node itself."""
        number = self.world.marks.number(self.rules.key)
        for name, masqueraded in (("pods", False), ("own", True)):
            bit = self.world.node.masquerade_mark
            mark = make_mark(number, frontend.protocol, bit, masqueraded=masqueraded)
            self.found.servers[VirtualServer(frontend.protocol, "", 0, mark)] = Reals(self._reals(target))
            self.found.elements.add((name, f"{_place(frontend)} : {mark:#x}"))

    def _reals(self, target: Target) -> frozenset[tuple[str, int]]:
        protocol = self.rules.key.protocol.lower()
        for e in target.endpoints:
            if e.node == self.world.node.name:
                self.found.elements.add(("hairpin", f"{e.ip} . {e.ip} . {protocol} . {e.port}"))
        return frozenset(e[:2] for e in target.endpoints)

    def _bind(self, ip: str) -> None:
        """The node's own addresses (one may be an external IP) are its already, and their other ports its own."""
        if ip not in self.world.node_addresses and ip not in self.world.node.node_ips:
            self.found.addresses.add(ip)
            self.found.elements.add(("vips", ip))

    def _put(self, name: str, frontend: Frontend) -> None:
        self.found.elements.add((name, _place(frontend)))


def _place(frontend: Frontend) -> str:
    return f"{frontend.ip} . {frontend.protocol.lower()} . {frontend.port}"


def _merged(cidrs: Iterable[str]) -> list[str]:
    """Ranges inside another would be refused by the kernel."""
    networks = [ip_network(cidr) for cidr in cidrs]
    return [str(network) for network in collapse_addresses(networks)]  # type: ignore[type-var]  # of one family


def _within(ip: str, cidr: str) -> bool:
    address, network = ip_network(ip), ip_network(cidr)
    return address.version == network.version and address.subnet_of(network)  # type: ignore[arg-type]
