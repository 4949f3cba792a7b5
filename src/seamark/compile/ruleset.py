"""Snapshot -> what packets to Services do on one node (product: Ruleset). All decisions, no rendering.

nft, iptables and ipvs are renderers of one Ruleset (DESIGN §3), so they cannot disagree; ``compile/tracer.py``
evaluates a Ruleset for a packet. Per service port and destination class the outcome is one of: balance over a
list, refuse, drop (KEP-1669 terminating endpoints, KEP-2086 internal policy, KEP-2433 and KEP-3015 topology).

Rules:

* Not ours: headless, ``ExternalName``, a Service that carries the service-proxy-name label (an empty value too), a
  slice that carries the headless label, a Service without a ClusterIP of the family.
* Cluster list: the ready endpoints, narrowed by hints only where *every* ready one has them; with none ready
  anywhere, those that serve while they terminate. Local list: the same on this node alone, hints ignored, its
  fallback decided independently.
* No usable endpoint anywhere = refuse, whatever the policy. Policy Local and endpoints elsewhere only = drop,
  except that pods and the node itself reach external addresses through the cluster list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal, NamedTuple, cast

from seamark.compile.addresses import Family as Family
from seamark.compile.addresses import family_of
from seamark.compile.endpoints import BackendEndpoint, PortEndpoints, Slice, compile_endpoints, is_port
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL, UNKNOWN, ObjectKey, Provenance
from seamark.model.service import Service, ServicePort
from seamark.model.snapshot import Snapshot

Protocol = Literal["TCP", "UDP", "SCTP"]


class PortKey(NamedTuple):
    """The unit of work: ``namespace/name:port`` and its protocol."""

    namespace: str
    name: str
    port_name: str
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port_name}/{self.protocol}"


class Frontend(NamedTuple):
    """What a packet must be addressed to. ``scope`` is the destination class; a node port has no ``ip``: every
    address of the node serves it.
    """

    scope: Literal["internal", "external"]
    ip: str
    protocol: Protocol
    port: int


class Target(NamedTuple):
    """How to choose: ``balance`` over endpoints (never empty then), ``refuse`` (reset/unreachable), ``drop``.

    ``scope`` names the list the endpoints are from, so that a renderer can keep one pool for it over changes.
    """

    action: Literal["balance", "refuse", "drop"]
    endpoints: tuple[BackendEndpoint, ...] = ()
    scope: Literal["cluster", "local"] = "cluster"


REFUSE = Target("refuse")
DROP = Target("drop")


class PortRules(NamedTuple):
    """Everything one service port of one IP family means on this node.

    ``internal`` serves ClusterIPs; ``external`` serves node ports, external IPs and load-balancer VIPs from
    outside; ``external_short_circuit`` serves the same from pods and the node itself when policy is Local.
    ``affinity_seconds`` 0 = none. Addresses are of one family. ``serving`` (UDP only) are all endpoints (ip, port)
    whose running flows may live on, whatever the policies say. ``health_check_port``: where load balancers ask whether
    this node has endpoints; 0 where policy is not Local.
    """

    key: PortKey
    port: int
    cluster_ips: tuple[str, ...]
    internal: Target
    external: Target
    external_short_circuit: Target | None
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    serving: frozenset[tuple[str, int]] = frozenset()
    health_check_port: int = 0
    origin: Provenance = UNKNOWN

    @property
    def claims(self) -> tuple[object, ...]:
        """All that ``frontends`` depends on, beside the key."""
        return self.port, self.node_port, self.cluster_ips, self.external_ips, self.load_balancer_ips

    @property
    def frontends(self) -> tuple[Frontend, ...]:
        """Where packets for this port arrive. Two Services may claim one external frontend: the lesser PortKey
        has it, so that the outcome does not depend on who came first.
        """
        protocol, port = self.key.protocol, self.port
        inside = tuple([Frontend("internal", ip, protocol, port) for ip in self.cluster_ips])
        if not (self.node_port or self.external_ips or self.load_balancer_ips):
            return inside
        outside = dict.fromkeys((*self.external_ips, *self.load_balancer_ips))
        return (
            *inside,
            *(Frontend("external", ip, protocol, port) for ip in outside),
            *((Frontend("external", "", protocol, self.node_port),) if self.node_port else ()),
        )


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a proxy knows of its node.

    A source is *local* (a pod's) by ``pod_cidrs``, or by the interface it comes from: the bridge ``pod_bridge``, or
    one whose name begins with ``pod_interface_prefix``. Traffic from elsewhere to a ClusterIP is masqueraded; with
    none of the three given, nothing can be told and nobody is.

    ``node_ips`` are the addresses of the node. Node ports are served on all of its local addresses except loopback,
    with ``node_port_cidrs`` on those within (a list without a range of the family means all of the family), with
    ``node_ports_on_node_ips_only`` on ``node_ips`` alone. ``masquerade_mark`` is the packet mark's bit.
    """

    name: str
    node_ips: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    zone: str = ""
    masquerade_all: bool = False
    node_ports_on_node_ips_only: bool = False
    node_port_cidrs: tuple[str, ...] = ()
    pod_bridge: str = ""
    pod_interface_prefix: str = ""
    masquerade_mark: int = 0x4000

    def detects_pods(self, family: Family) -> bool:
        """Whether it can be told who is a pod."""
        by_interface = bool(self.pod_bridge or self.pod_interface_prefix)
        return by_interface or bool(select_ranges(self.pod_cidrs, family))

    def serves_node_ports_on(self, ip: str) -> bool:
        """Whether node ports are served on this address of the node."""
        family, address = family_of(ip), ip_address(ip)
        if family is None or address.is_loopback:
            return False
        if self.node_ports_on_node_ips_only:
            return ip in self.node_ips
        ranges = select_ranges(self.node_port_cidrs, family)
        return not ranges or any(_within(ip, cidr) for cidr in ranges)


@dataclass(frozen=True, slots=True)
class Ruleset:
    node: NodeConfig
    ports: dict[PortKey, PortRules] = field(default_factory=dict)


def compile_ruleset(snapshot: Snapshot, node: NodeConfig, *, family: Family = "IPv4") -> Ruleset:
    """The whole product for a snapshot; increments call :func:`compile_service` for what changed."""
    slices: dict[ObjectKey, list[EndpointSlice]] = {}
    for piece in snapshot.slices.values():
        if piece.service_key is not None:
            slices.setdefault(piece.service_key, []).append(piece)
    rules = (
        port
        for key, service in snapshot.services.items()
        for port in compile_service(service, slices.get(key, ()), node, family=family)
    )
    return Ruleset(node, {port.key: port for port in rules})


def compile_service(
    service: Service, slices: Iterable[Slice], node: NodeConfig, *, family: Family = "IPv4"
) -> tuple[PortRules, ...]:
    """The rules of one Service on this node; empty where the Service is none of ours."""
    if not is_proxied(service):
        return ()
    cluster_ips = select_family(service.cluster_ips, family)
    if not cluster_ips:
        return ()
    ours = (s for s in slices if s.address_type == family and HEADLESS_LABEL not in s.labels)
    outside = _outside(service, node, family)
    backends = compile_endpoints(service, ours)
    ports = service.spec.ports or []
    local = "Local" in (service.spec.internal_traffic_policy, service.spec.external_traffic_policy)
    return tuple(
        _compile_port(service, port, cluster_ips, outside, _lists(found, node, local=local))
        for port, found in zip(ports, backends, strict=True)
        if port.protocol in ("TCP", "UDP", "SCTP") and is_port(port.port)
    )


def is_proxied(service: Service) -> bool:
    return not (
        service.is_headless or service.spec.type == "ExternalName" or SERVICE_PROXY_NAME_LABEL in service.labels
    )


class _Outside(NamedTuple):
    """What of a Service is reached from outside the cluster, beside node ports."""

    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]


NOWHERE = _Outside((), (), ())


class _Lists(NamedTuple):
    cluster: tuple[BackendEndpoint, ...]
    local: tuple[BackendEndpoint, ...]
    serving: frozenset[tuple[str, int]]

    @property
    def anywhere(self) -> bool:
        """Whether any endpoint is usable: the cluster list has one then."""
        return bool(self.cluster)


def _compile_port(
    service: Service, port: ServicePort, cluster_ips: tuple[str, ...], outside: _Outside, lists: _Lists
) -> PortRules:
    internal_local = service.spec.internal_traffic_policy == "Local"
    external_local = service.spec.external_traffic_policy == "Local"
    meta = service.metadata
    return PortRules(
        key=PortKey(meta.namespace, meta.name, port.name, cast(Protocol, port.protocol)),
        port=port.port,
        cluster_ips=cluster_ips,
        internal=_target(lists, local_only=internal_local),
        external=_target(lists, local_only=external_local),
        external_short_circuit=_target(lists, local_only=False) if external_local else None,
        node_port=port.node_port if is_port(port.node_port) else 0,
        external_ips=outside.external_ips,
        load_balancer_ips=outside.load_balancer_ips,
        source_ranges=outside.source_ranges if outside.load_balancer_ips else (),
        affinity_seconds=service.affinity_seconds,
        serving=lists.serving,
        health_check_port=service.spec.health_check_node_port if external_local and _balanced(service) else 0,
        origin=service.provenance(),
    )


def _balanced(service: Service) -> bool:
    return service.spec.type == "LoadBalancer" and is_port(service.spec.health_check_node_port)


def _target(lists: _Lists, *, local_only: bool) -> Target:
    if not lists.anywhere:
        return REFUSE
    chosen = lists.local if local_only else lists.cluster
    return Target("balance", chosen, "local" if local_only else "cluster") if chosen else DROP


def _lists(found: PortEndpoints, node: NodeConfig, *, local: bool) -> _Lists:
    """``local``: whether anything asks for those of this node."""
    known = found.endpoints
    udp = found.protocol == "UDP"
    serving = frozenset(e[:2] for e in known if e.serving) if udp else frozenset()
    if found.plain and not local:
        return _Lists(known, (), serving)
    ready = [e for e in known if e.ready]
    leaving = [e for e in known if not e.ready and e.serving and e.terminating]
    cluster = tuple(_hinted(ready, node) or leaving)
    near = tuple(e for e in ready if e.node == node.name) or tuple(e for e in leaving if e.node == node.name)
    return _Lists(cluster, near, serving)


def _hinted(ready: list[BackendEndpoint], node: NodeConfig) -> list[BackendEndpoint]:
    """Hints count only where all ready endpoints have them and one of them names us: node first, then zone."""
    choices: tuple[tuple[str, Callable[[BackendEndpoint], tuple[str, ...]]], ...] = (
        (node.name, lambda e: e.for_nodes),
        (node.zone, lambda e: e.for_zones),
    )
    for mine, hints in choices:
        if mine and ready and all(hints(e) for e in ready):
            near = [e for e in ready if mine in hints(e)]
            if near:
                return near
    return ready


def _outside(service: Service, node: NodeConfig, family: Family) -> _Outside:
    status = service.status.load_balancer
    if not service.spec.external_ips and not (status and status.ingress):
        return NOWHERE
    ingress = [i.ip for i in (status.ingress if status else None) or [] if i.ip and i.ip_mode != "Proxy"]
    vips = select_family(ingress, family)
    ranges = tuple(_ranges(service.spec.load_balancer_source_ranges or [], family))
    if any(r.endswith("/0") for r in ranges):
        ranges = ()
    if any(_within(ip, r) for r in ranges for ip in node.node_ips):
        # The node reaches its own VIPs with the VIP as source address when traffic is short-circuited.
        ranges += tuple(f"{ip}/{32 if family == 'IPv4' else 128}" for ip in vips)
    return _Outside(select_family(service.spec.external_ips or [], family), vips, ranges)


def _ranges(given: Iterable[str], family: Family) -> Iterator[str]:
    """Source ranges of the family in canonical form; validation lets spaces in and host bits stand."""
    for text in given:
        try:
            network = ip_network(text.strip(), strict=False)
        except ValueError:
            continue
        if f"IPv{network.version}" == family:
            yield str(network)


def _within(ip: str, cidr: str) -> bool:
    address, network = ip_address(ip), ip_network(cidr)
    return address.version == network.version and address in network


def select_family(addresses: Iterable[str], family: Family) -> tuple[str, ...]:
    """The addresses of the family, in order, each once; what is no address at all never reaches the kernel."""
    return tuple(dict.fromkeys(ip for ip in addresses if family_of(ip) == family))


def select_ranges(cidrs: Iterable[str], family: Family) -> tuple[str, ...]:
    """The CIDRs of the family."""
    return tuple(cidr for cidr in cidrs if family_of(cidr.partition("/")[0]) == family)
