"""The ipvs mode: virtual servers through netlink, their addresses on a dummy link, an nft table for the rest.

A change costs the servers that differ. Order is what keeps connections: what packets need (addresses, servers, real
servers) comes first, then the nft elements in one transaction, then what nobody needs any more goes. A real server that
goes keeps its connections: weight 0 until none is left (UDP at once: there is nothing to wait for).

Ours are the virtual servers on addresses of the dummy link, of the node's own addresses as they are written in our nft
table, and of our marks; others' are left alone.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seamark.compile.addresses import Family, family_of
from seamark.compile.iptables import select_owned
from seamark.compile.ipvs import (
    PROTOCOL_ORDER,
    IpvsProduct,
    Marks,
    Reals,
    Surroundings,
    VirtualServer,
    compile_port,
    parse_mark,
)
from seamark.compile.ipvstext import LINK, TABLE, render_elements, render_structure
from seamark.compile.nftlayout import FRONTEND, PROTOCOLS, Layout, render_value
from seamark.compile.ruleset import Frontend, NodeConfig, PortKey, PortRules, Protocol
from seamark.linux.ipvs import Dest, Ipvs, IpvsError, Service, Settings
from seamark.linux.links import list_addresses, put_addresses, remove_link
from seamark.linux.nfnetlink import Nfnetlink, Table
from seamark.linux.nft import apply_nft
from seamark.linux.sysctl import write_sysctls
from seamark.proxy.backend import RuleTable
from seamark.proxy.ipvsoptions import IpvsOptions

logger = logging.getLogger(__name__)

LOOK_EVERY = 5
"""Looks for what others took away at each so many calls of ``check``."""
ADDRESS_FAMILIES: Mapping[Family, int] = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
SYSCTLS = {
    "net.ipv4.vs.conntrack": "1",
    "net.ipv4.vs.conn_reuse_mode": "0",
    "net.ipv4.vs.expire_nodest_conn": "1",
    "net.ipv4.vs.expire_quiescent_template": "1",
    "net.ipv4.ip_forward": "1",
}
STRICT_ARP = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}


class IpvsTable:
    """``start`` first, then ``apply`` and ``check`` one after another, never two at once."""

    def __init__(self, node: NodeConfig, family: Family, options: IpvsOptions, namespace: Path | None) -> None:
        self.node = node
        self.mended = 0
        self._family = family
        self._options = options
        self._namespace = namespace
        self._layout = Layout(family, TABLE)
        self._ipvs = Ipvs(namespace)
        self._netlink = Nfnetlink(namespace)
        self._ports: dict[PortKey, PortRules] = {}
        self._parts: dict[PortKey, tuple[PortRules, tuple[Frontend, ...], IpvsProduct]] = {}
        self._world = Surroundings(node, marks=Marks(), excluded=options.excluded)
        self._applied = IpvsProduct()
        self._draining: set[tuple[VirtualServer, tuple[str, int]]] = set()
        self._generation = 0
        self._fingerprint: dict[str, str] | None = None
        self._calls = 0

    def close(self) -> None:
        self._ipvs.close()
        self._netlink.close()

    def is_new(self) -> bool:
        """Every change costs in proportion to all Services, so that pieces would cost more than the whole."""
        return False

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        """Everything, over what an earlier run left: what is right already is not touched."""
        self._ports, self._parts = dict(ports), {}
        wanted = SYSCTLS | (STRICT_ARP if self._options.strict_arp else {})
        for refused in write_sysctls(self._namespace, wanted):
            logger.warning("sysctl not set: %s", refused)
        self._ipvs.set_timeouts(tcp=self._options.tcp, tcp_fin=self._options.tcp_fin, udp=self._options.udp)
        found = await list_addresses(self._namespace)
        self._observe(found)
        bound = {ip for ip in found.get(LINK, ()) if family_of(ip) == self._family}
        new = self._compile()
        left = IpvsProduct(
            self._read_servers(bound | new.addresses), bound
        )  # the link may be gone, and not the servers
        await self._bring(left, new, whole=True)

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        if not changes:
            return 0
        for key, rules in changes.items():
            if rules is None:
                self._ports.pop(key, None)
                self._world.marks.forget(key)
            else:
                self._ports[key] = rules
        return await self._bring(self._applied, self._compile(), whole=False)

    async def check(self) -> bool:
        """Lets drained real servers go; looks for what others changed, and for new addresses of the node."""
        self._drain()
        self._calls += 1
        if self._calls % LOOK_EVERY and self._netlink.generation() == self._generation:
            return False
        found = await list_addresses(self._namespace)
        before = self._world.node_addresses
        self._observe(found)
        missing = self._applied.servers.keys() - self._read_servers(self._applied.addresses).keys()
        unbound = self._applied.addresses - set(found.get(LINK, ()))
        if before == self._world.node_addresses and not missing and not unbound and self._is_whole():
            return False
        logger.warning("changed by somebody else: bringing all anew table=%s", TABLE)
        self.mended += 1
        await self.start(self._ports)
        return True

    def _is_whole(self) -> bool:
        """Another family's table of ours changes the generation as well: then our table is there all the same."""
        if self._netlink.generation() == self._generation:
            return True
        there = self._netlink.fingerprint(self._layout.nft_family, TABLE) == self._fingerprint
        if there:
            self._generation = self._netlink.generation()
        return there

    def _observe(self, found: Mapping[str, tuple[str, ...]]) -> None:
        others = (ip for link, ips in found.items() if link != LINK for ip in ips)
        ours = tuple(sorted(ip for ip in others if family_of(ip) == self._family))
        if ours != self._world.node_addresses:
            self._parts = {}
            self._world = Surroundings(self.node, ours, self._world.marks, self._options.excluded)

    def _read_servers(self, bound: Iterable[str]) -> dict[VirtualServer, Reals]:
        """Ours in the kernel, by the addresses they are on or by their mark. Real servers with weight 0 drain."""
        places, found = {*bound, *self._world.node_addresses}, {}
        for service, settings in self._ipvs.services().items():
            protocol = self._protocol_of(service, places)
            if protocol is None or service.family != ADDRESS_FAMILIES[self._family]:
                continue
            server = VirtualServer(protocol, service.ip, service.port, service.mark)
            serving = set()
            for dest, state in self._ipvs.dests(service).items():
                if state.weight:
                    serving.add((dest.ip, dest.port))
                else:
                    self._draining.add((server, (dest.ip, dest.port)))
            same = settings.scheduler == self._options.scheduler
            found[server] = Reals(frozenset(serving), settings.seconds if same else -1)
        return found

    def _protocol_of(self, service: Service, places: Collection[str]) -> Protocol | None:
        """None for what is not ours."""
        if service.mark:
            return parse_mark(service.mark, self.node.masquerade_mark)
        ours = service.ip in places and not self._world.excludes(service.ip)
        return next((name for name in PROTOCOL_ORDER if PROTOCOLS[name] == service.protocol), None) if ours else None

    async def _bring(self, old: IpvsProduct, new: IpvsProduct, *, whole: bool) -> int:
        """From ``old`` to ``new``; gives how many things moved."""
        if fresh := new.addresses - old.addresses:
            await put_addresses(self._namespace, LINK, add=sorted(fresh))
        moved = sum(self._put_server(server, old.servers.get(server), reals) for server, reals in new.servers.items())
        text = render_elements(self._layout, () if whole else old.elements, new.elements)
        if whole:
            text = render_structure(self._layout, self.node) + text
        if text:
            await apply_nft(text, self._namespace)
            self._note()
        for server in old.servers.keys() - new.servers.keys():
            self._ipvs.delete_service(self._service(server))
            self._draining = {item for item in self._draining if item[0] != server}
        for server in old.servers.keys() & new.servers.keys():
            for place in old.servers[server].endpoints - new.servers[server].endpoints:
                self._retire(server, place)
        if gone := old.addresses - new.addresses:
            await put_addresses(self._namespace, LINK, add=(), delete=sorted(gone))
        self._applied = new
        return moved + len(fresh) + len(gone) + text.count("\n")

    def _put_server(self, server: VirtualServer, old: Reals | None, new: Reals) -> int:
        if old == new:
            return 0
        service, settings = self._service(server), Settings(self._options.scheduler, new.seconds)
        if old is None:
            self._ipvs.add_service(service, settings)
        elif old.seconds != new.seconds:
            self._ipvs.set_service(service, settings)
        for place in new.endpoints - (old.endpoints if old else frozenset()):
            if (server, place) in self._draining:
                self._draining.discard((server, place))
                self._ipvs.set_dest(service, Dest(*place), weight=1)
            else:
                self._ipvs.add_dest(service, Dest(*place))
        return 1

    def _retire(self, server: VirtualServer, place: tuple[str, int]) -> None:
        service = self._service(server)
        if server.protocol == "UDP":
            self._ipvs.delete_dest(service, Dest(*place))
        else:
            self._ipvs.set_dest(service, Dest(*place), weight=0)
            self._draining.add((server, place))

    def _drain(self) -> None:
        for server in {server for server, _ in self._draining}:
            service = self._service(server)
            states = self._ipvs.dests(service)
            for place in [place for one, place in self._draining if one == server]:
                state = states.get(Dest(*place))
                if state is None or not state.connections:
                    self._ipvs.delete_dest(service, Dest(*place))
                    self._draining.discard((server, place))

    def _service(self, server: VirtualServer) -> Service:
        protocol = 0 if server.mark else PROTOCOLS[server.protocol]
        return Service(ADDRESS_FAMILIES[self._family], protocol, server.ip, server.port, server.mark)

    def _note(self) -> None:
        self._generation = self._netlink.generation()
        self._fingerprint = self._netlink.fingerprint(self._layout.nft_family, TABLE)

    def _compile(self) -> IpvsProduct:
        """Ports that did not change keep what was compiled for them."""
        owned, parts, found = select_owned(self._ports), {}, IpvsProduct()
        for key, frontends in owned.items():
            rules, known = self._ports[key], self._parts.get(key)
            if known is None or known[0] is not rules or known[1] != frontends:
                known = (rules, frontends, compile_port(rules, frontends, self._world))
            parts[key] = known
            found.include(known[2])
        self._parts = parts
        return found


@dataclass(frozen=True, slots=True)
class IpvsBackend:
    options: IpvsOptions = field(default_factory=IpvsOptions)
    mode: str = "ipvs"
    tracked: bool = True

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        return IpvsTable(node, family, self.options, namespace)

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        """The nft tables know what is ours: servers and addresses go with them."""
        with Nfnetlink(namespace) as netlink:
            layouts = [Layout(family, TABLE) for family in families]
            ours = [layout for layout in layouts if netlink.has_table(layout.nft_family, TABLE)]
            bound = (await list_addresses(namespace)).get(LINK, ()) if ours else ()
            for layout in ours:
                _remove_servers(netlink, layout, bound, namespace)
                netlink.delete_table(layout.nft_family, TABLE)
        if ours:
            await remove_link(namespace, LINK)
        return bool(ours)


def _remove_servers(netlink: Nfnetlink, layout: Layout, bound: Iterable[str], namespace: Path | None) -> None:
    """Those on the dummy link, and those our nft table names."""
    table = Table(layout.nft_family, TABLE)
    shown = (render_value(layout, FRONTEND, key).split(" . ") for key in netlink.dump(table, "balanced"))
    named = {(ip, PROTOCOLS[protocol.upper()], int(port)) for ip, protocol, port in shown}
    marks = {
        int.from_bytes(data, sys.byteorder) for name in ("pods", "own") for data in netlink.dump(table, name).values()
    }
    try:
        with Ipvs(namespace) as ipvs:
            for service in ipvs.services():
                if (
                    service.ip in bound
                    or (service.ip, service.protocol, service.port) in named
                    or service.mark in marks
                ):
                    ipvs.delete_service(service)
    except IpvsError as error:
        logger.debug("no virtual servers to remove: %s", error)
