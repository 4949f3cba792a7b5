"""PortRules -> iptables chains, with kube-proxy's names.

Each service port has chains of its own (``KUBE-SVC-`` for the cluster list, ``KUBE-SVL-`` for the local one,
``KUBE-EXT-`` for what comes from outside, ``KUBE-FW-`` where source ranges guard it, ``KUBE-SEP-`` for each endpoint)
and lines in the lists every packet walks (``KUBE-SERVICES``, ``KUBE-NODEPORTS``): linear in the number of Services, as
iptables are. What is refused or dropped is undone by no nat and decided in the filter table, for new connections.

The decisions are those of the Ruleset, so this mode does what nftables does, also where kube-proxy's two modes differ:
unused ports of a live ClusterIP refuse, unallocated service addresses drop, TCP is refused by a reset, node ports
are not served on loopback. Affinity is ``xt_recent``, which keeps about 100 clients an endpoint unless the module is
told otherwise (``ip_list_tot``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.iptablestext import Chain, Chains
from seamark.compile.ruleset import Family, Frontend, NodeConfig, PortKey, PortRules, Ruleset, Target, select_ranges

SERVICES = Chain("nat", "KUBE-SERVICES")
NODEPORTS = Chain("nat", "KUBE-NODEPORTS")
REFUSED = Chain("filter", "KUBE-SERVICES")
EXTERNAL = Chain("filter", "KUBE-EXTERNAL-SERVICES")
FIREWALL = Chain("filter", "KUBE-PROXY-FIREWALL")
OUTSIDERS = Chain("nat", "KUBE-MARK-OUTSIDERS")
MARKER = Chain("nat", "KUBE-SEAMARK")
"""An empty chain by which a later run, or a cleanup, knows that the rules are ours."""

_OURS = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")
_FIXED = frozenset(
    {SERVICES, NODEPORTS, REFUSED, EXTERNAL, FIREWALL, OUTSIDERS, MARKER}
    | {Chain("nat", "KUBE-MARK-MASQ"), Chain("nat", "KUBE-POSTROUTING")}
    | {Chain("filter", "KUBE-FORWARD"), Chain("filter", "KUBE-REFUSE")}
)


@dataclass(slots=True)
class PortChains:
    """What one service port puts into the tables: chains of its own, and lines of those all share."""

    own: Chains = field(default_factory=dict)
    lines: dict[Chain, list[str]] = field(default_factory=dict)

    def add(self, chain: Chain, *rules: str) -> None:
        self.lines.setdefault(chain, []).extend(rules)


def compile_iptables(ruleset: Ruleset, family: Family = "IPv4") -> Chains:
    """The whole product, from nothing."""
    owned = select_owned(ruleset.ports)
    parts = {key: compile_port(ruleset.ports[key], owned[key], ruleset.node, family) for key in sorted(ruleset.ports)}
    return assemble(parts, ruleset.node, family)


def select_owned(ports: Mapping[PortKey, PortRules]) -> dict[PortKey, tuple[Frontend, ...]]:
    """The frontends each port really has: of two that claim one, the lesser PortKey."""
    taken: set[Frontend] = set()
    owned: dict[PortKey, tuple[Frontend, ...]] = {}
    for key in sorted(ports):
        owned[key] = tuple(f for f in ports[key].frontends if f not in taken)
        taken.update(owned[key])
    return owned


def compile_port(rules: PortRules, owned: Iterable[Frontend], node: NodeConfig, family: Family) -> PortChains:
    return _PortCompiler(rules, tuple(owned), node, family).compile()


def assemble(parts: Mapping[PortKey, PortChains], node: NodeConfig, family: Family) -> Chains:
    """All ports and what every table has beside them."""
    mark = f"{node.masquerade_mark:#x}"
    shared: dict[Chain, list[str]] = {chain: [] for chain in (SERVICES, NODEPORTS, REFUSED, EXTERNAL, FIREWALL)}
    found: Chains = {}
    vips: dict[str, None] = {}
    for part in parts.values():
        found.update(part.own)
        for chain, lines in part.lines.items():
            if chain is _VIPS:
                vips.update(dict.fromkeys(lines))
            else:
                shared[chain] += lines
    shared[REFUSED] += [f'-d {ip} -m comment --comment "unused port of a Service" -j KUBE-REFUSE' for ip in vips]
    ranges = select_ranges(node.service_cidrs, family)
    shared[REFUSED] += [f'-d {cidr} -m comment --comment "unallocated address" -j DROP' for cidr in ranges]
    shared[SERVICES] += [f"{match} -j KUBE-NODEPORTS" for match in _node_addresses(node, family)]
    found.update({chain: tuple(lines) for chain, lines in shared.items()})
    pods = select_ranges(node.pod_cidrs, family)
    found[OUTSIDERS] = (*(f"-s {cidr} -j RETURN" for cidr in pods), "-j KUBE-MARK-MASQ")
    found[MARKER] = ()
    found[Chain("nat", "KUBE-MARK-MASQ")] = (f"-j MARK --or-mark {mark}",)
    found[Chain("nat", "KUBE-POSTROUTING")] = (
        f"-m mark ! --mark {mark}/{mark} -j RETURN",
        f"-j MARK --xor-mark {mark}",
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    )
    found[Chain("filter", "KUBE-REFUSE")] = ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT")
    found[Chain("filter", "KUBE-FORWARD")] = (
        f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT',
        '-m comment --comment "kubernetes forwarding rules" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    )
    return found


_VIPS = Chain("filter", "")
"""Not a chain: the ClusterIPs of a port, gathered so that each is refused once, after all ports."""


def is_ours(chain: Chain) -> bool:
    """Whether a chain is one this module makes; the kubelet's and others' ``KUBE-`` chains are not."""
    return chain in _FIXED or (chain.table == "nat" and chain.name.startswith(_OURS))


class _PortCompiler:
    def __init__(self, rules: PortRules, owned: tuple[Frontend, ...], node: NodeConfig, family: Family) -> None:
        self.rules = rules
        self.owned = owned
        self.node = node
        self.family = family
        self.made = PortChains()
        key = rules.key
        self.name = f"{key.namespace}/{key.name}" + (f":{key.port_name}" if key.port_name else "")
        self.hash = _digest(f"{self.name}{key.protocol.lower()}")

    def compile(self) -> PortChains:
        rules = self.rules
        for frontend in self.owned:
            if frontend.scope == "internal":
                self.made.add(_VIPS, frontend.ip)
                self._dispatch(SERVICES, frontend, self._list(rules.internal), "cluster IP")
                self._refuse(REFUSED, frontend, rules.internal)
        outside = [frontend for frontend in self.owned if frontend.scope == "external"]
        if outside:
            entry = self._entry()
            for frontend in outside:
                self._from_outside(frontend, entry)
        return self.made

    def _from_outside(self, frontend: Frontend, entry: str | None) -> None:
        guarded = bool(self.rules.source_ranges) and frontend.ip in self.rules.load_balancer_ips
        if guarded:
            match = self._match(frontend)
            self.made.add(FIREWALL, *(f"{match} -s {cidr} -j RETURN" for cidr in self.rules.source_ranges))
            self.made.add(FIREWALL, f"{match} -j DROP")
        if guarded and entry is not None:
            guard = Chain("nat", f"KUBE-FW-{self.hash}")
            self.made.own[guard] = tuple(f"-s {cidr} -j {entry}" for cidr in self.rules.source_ranges)
            self._dispatch(SERVICES, frontend, guard.name, "loadbalancer IP")
        else:
            chain, what = (SERVICES, "external IP") if frontend.ip else (NODEPORTS, "node port")
            self._dispatch(chain, frontend, entry, what)
        self._refuse(EXTERNAL, frontend, self.rules.external)

    def _entry(self) -> str | None:
        """``KUBE-EXT-``: masquerade and go to the cluster list; or with policy Local pods and the node itself to the
        cluster list, everybody else unmasqueraded to the local one.
        """
        rules, short = self.rules, self.rules.external_short_circuit
        lines: list[str] = []
        if short is None:
            if (whole := self._list(rules.external)) is not None:
                lines = ["-j KUBE-MARK-MASQ", f"-j {whole}"]
        else:
            if (whole := self._list(short)) is not None:
                lines = [f"{match} -j {whole}" for match in _pods(self.node, self.family)]
                lines += [f"-m addrtype --src-type LOCAL -j {to}" for to in ("KUBE-MARK-MASQ", whole)]
            if (local := self._list(rules.external)) is not None:
                lines.append(f"-j {local}")
        if not lines:
            return None
        chain = Chain("nat", f"KUBE-EXT-{self.hash}")
        self.made.own[chain] = tuple(lines)
        return chain.name

    def _list(self, target: Target) -> str | None:
        """The chain that chooses among a target's endpoints, made where it is not yet; None where there are none."""
        if target.action != "balance":
            return None
        chain = Chain("nat", f"{'KUBE-SVC' if target.scope == 'cluster' else 'KUBE-SVL'}-{self.hash}")
        if chain not in self.made.own:
            internal = [f for f in self.owned if f.scope == "internal"] if self.rules.internal == target else []
            marks = [self._mark_outsiders(frontend) for frontend in internal]
            self.made.own[chain] = (*(m for m in marks if m), *self._choose(target.endpoints))
        return chain.name

    def _mark_outsiders(self, frontend: Frontend) -> str:
        """A ClusterIP's packets that come from no pod are masqueraded."""
        match, node = self._match(frontend), self.node
        if node.masquerade_all:
            return f"{match} -j KUBE-MARK-MASQ"
        pods = _pods(node, self.family)
        if len(pods) == 1:
            return f"{match} ! {pods[0]} -j KUBE-MARK-MASQ"
        return f"{match} -j {OUTSIDERS.name}" if pods else ""

    def _choose(self, endpoints: tuple[BackendEndpoint, ...]) -> Iterator[str]:
        seconds, names = self.rules.affinity_seconds, [self._endpoint(e) for e in endpoints]
        if seconds:
            for name in names:
                yield f"-m recent --name {name} --rcheck --seconds {seconds} --reap -j {name}"
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            yield f"{chance}-j {name}"

    def _endpoint(self, endpoint: BackendEndpoint) -> str:
        """``KUBE-SEP-``: an endpoint of this node that reaches itself is masqueraded (hairpin)."""
        place = f"[{endpoint.ip}]:{endpoint.port}" if ":" in endpoint.ip else f"{endpoint.ip}:{endpoint.port}"
        protocol = self.rules.key.protocol.lower()
        chain = Chain("nat", f"KUBE-SEP-{_digest(f'{self.name}{protocol}{place}')}")
        comment = f'-m comment --comment "{self.name}"'
        hairpin = (f"{comment} -s {endpoint.ip} -j KUBE-MARK-MASQ",) if endpoint.node == self.node.name else ()
        recent = f"-m recent --name {chain.name} --set " if self.rules.affinity_seconds else ""
        dnat = f"{comment} -p {protocol} {recent}-m {protocol} -j DNAT --to-destination {place}"
        self.made.own[chain] = (*hairpin, dnat)
        return chain.name

    def _dispatch(self, chain: Chain, frontend: Frontend, to: str | None, what: str) -> None:
        if to is not None:
            comment = f'-m comment --comment "{self.name} {what}"'
            self.made.add(chain, f"{self._match(frontend)} {comment} -j {to}")

    def _refuse(self, chain: Chain, frontend: Frontend, target: Target) -> None:
        if target.action == "balance":
            return
        why = "has no endpoints" if target.action == "refuse" else "has no local endpoints"
        comment = f'-m comment --comment "{self.name} {why}"'
        reset = " --reject-with tcp-reset" if frontend.protocol == "TCP" else ""
        verdict = f"-j REJECT{reset}" if target.action == "refuse" else "-j DROP"
        places = [""] if frontend.ip else [f"{match} " for match in _node_addresses(self.node, self.family)]
        self.made.add(chain, *(f"{place}{self._match(frontend)} {comment} {verdict}" for place in places))

    def _match(self, frontend: Frontend) -> str:
        protocol = frontend.protocol.lower()
        address = f"-d {frontend.ip} " if frontend.ip else ""
        return f"{address}-p {protocol} -m {protocol} --dport {frontend.port}"


def _pods(node: NodeConfig, family: Family) -> list[str]:
    """Matches of which one holds for what comes from a pod; none where that cannot be told."""
    if node.pod_bridge:
        return [f"-i {node.pod_bridge}"]
    if node.pod_interface_prefix:
        return [f"-i {node.pod_interface_prefix}+"]
    return [f"-s {cidr}" for cidr in select_ranges(node.pod_cidrs, family)]


def _node_addresses(node: NodeConfig, family: Family) -> list[str]:
    """Matches of which one holds for addresses that serve node ports."""
    local = "-m addrtype --dst-type LOCAL"
    if node.node_ports_on_node_ips_only:
        return [f"-d {ip}" for ip in select_ranges(node.node_ips, family)]
    ranges = select_ranges(node.node_port_cidrs, family)
    if ranges:
        return [f"-d {cidr} {local}" for cidr in ranges]
    return [f"! -d {'127.0.0.0/8' if family == 'IPv4' else '::1/128'} {local}"]


def _digest(text: str) -> str:
    """The 16 letters kube-proxy names chains by, so that an administrator finds the same names."""
    return base64.b32encode(sha256(text.encode()).digest()).decode()[:16]
