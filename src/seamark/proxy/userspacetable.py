"""The userspace mode: this process listens on every frontend and carries the bytes. For machines without nft, or
without root; slower, and servers see the node as their client.

A frontend can be served where its address is one of the machine's. With the right to do so, addresses of Services are
made local by routes; without, those in 127.0.0.0/8 and those that are the machine's already work, and so do node ports.
What cannot be bound is said once, and tried again.

``LoopbackPorts`` is the same for node ports on 127.0.0.1 and ::1 alone, beside a mode whose kernel rules serve the
rest. Where kernel modes drop a packet, this one resets the connection: it was accepted before anything could be asked.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seamark.compile.addresses import Family, family_of
from seamark.compile.iptables import select_owned
from seamark.compile.ruleset import Frontend, NodeConfig, PortKey, PortRules
from seamark.linux.links import LinkError, list_addresses, list_local_routes, put_local_routes
from seamark.proxy.backend import RuleTable
from seamark.proxy.balancer import Balancer, Choice
from seamark.proxy.forwarding import TcpForwarder, UdpForwarder

logger = logging.getLogger(__name__)

LOOPBACK: Mapping[Family, str] = {"IPv4": "127.0.0.1", "IPv6": "::1"}
RETRY_EVERY = 5

Listening = tuple[Frontend, str]
"""A frontend and the address it is served on."""


class UserspaceTable:
    """``start`` first, then ``apply`` and ``check`` one after another, never two at once. ``places`` gives the
    addresses of the machine a frontend is served on.
    """

    def __init__(
        self,
        node: NodeConfig,
        namespace: Path | None,
        places: Callable[[Frontend], Iterable[str]],
        *,
        now: Callable[[], float] = time.monotonic,
        choose: Choice = random.choice,
    ) -> None:
        self.node = node
        self.mended = 0
        self._namespace = namespace
        self._places = places
        self._now, self._choose = now, choose
        self._ports: dict[PortKey, PortRules] = {}
        self._balancers: dict[PortKey, Balancer] = {}
        self._owners: dict[Listening, PortKey] = {}
        self._forwarders: dict[Listening, TcpForwarder | UdpForwarder] = {}
        self._refused: set[Listening] = set()
        self._routed = False  # whether addresses are made local by routes of ours
        self._calls = 0

    def close(self) -> None:
        for forwarder in self._forwarders.values():
            forwarder.close()
        self._forwarders.clear()

    def is_new(self) -> bool:
        return not self._ports

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        await self.apply({**dict.fromkeys(self._ports.keys() - ports.keys()), **ports})

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        for key, rules in changes.items():
            if rules is None:
                self._ports.pop(key, None)
                self._balancers.pop(key, None)
            else:
                self._ports[key] = rules
                self._observe(key, rules)
        return self._bring() if changes else 0

    async def check(self) -> bool:
        """Tries again what could not be bound, and looks at what is served where."""
        self._calls += 1
        if self._calls % RETRY_EVERY == 0:
            self._bring()
        return False

    def _observe(self, key: PortKey, rules: PortRules) -> None:
        known = self._balancers.get(key)
        if known is None:
            self._balancers[key] = Balancer(rules, self.node, now=self._now, choose=self._choose)
        else:
            known.update(rules)

    def _bring(self) -> int:
        """Opens and closes what differs; gives how many moved."""
        wanted: dict[Listening, PortKey] = {}
        for key, frontends in select_owned(self._ports).items():
            if key.protocol != "SCTP":  # no asyncio for it
                served = [f for f in frontends if _has_endpoints(self._ports[key], f)]
                wanted.update({(frontend, ip): key for frontend in served for ip in self._places(frontend)})
        gone = [at for at, key in self._owners.items() if wanted.get(at) != key]
        for at in gone:
            del self._owners[at]
            if at in self._forwarders:
                self._forwarders.pop(at).close()
        self._refused &= wanted.keys()
        for at, key in wanted.items():
            self._owners[at] = key
            if at not in self._forwarders:
                self._open(at)
        for forwarder in self._forwarders.values():
            forwarder.retarget()
        return len(gone)

    def _open(self, at: Listening) -> None:
        frontend, ip = at
        pick = partial(self._pick, at)
        try:
            if frontend.protocol == "TCP":
                self._forwarders[at] = TcpForwarder(self._namespace, ip, frontend.port, pick, routed=self._routed)
            else:
                serving = partial(self._is_serving, at)
                place = (ip, frontend.port)
                self._forwarders[at] = UdpForwarder(self._namespace, place, pick, serving, routed=self._routed)
        except OSError as error:
            if at not in self._refused:
                logger.warning("service port %s not served: %s", self._owners[at], error.strerror or error)
            self._refused.add(at)
        else:
            self._refused.discard(at)

    def _pick(self, at: Listening, client: str, destination: str) -> tuple[str, int] | None:
        owner = self._owners.get(at)  # none: it went while the client was being taken
        return self._balancers[owner].pick(at[0], client, destination) if owner is not None else None

    def _is_serving(self, at: Listening, place: tuple[str, int]) -> bool:
        return self._balancers[self._owners[at]].is_serving(place)


def _has_endpoints(rules: PortRules, frontend: Frontend) -> bool:
    """Where there are none nobody listens, and the kernel refuses."""
    if frontend.scope == "internal":
        return rules.internal.action == "balance"
    return any(t is not None and t.action == "balance" for t in (rules.external, rules.external_short_circuit))


class UserspaceAddresses(UserspaceTable):
    """The whole mode: every frontend, with local routes to the addresses of Services where we may make them."""

    def __init__(self, node: NodeConfig, family: Family, namespace: Path | None) -> None:
        super().__init__(node, namespace, self._served_on)
        self._family = family
        self._own: tuple[str, ...] = ()
        self._allowed = True

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        gone = {key for key, rules in changes.items() if rules is None}
        future = {**self._ports, **{k: r for k, r in changes.items() if r is not None}}
        await self._bind(rules for key, rules in future.items() if key not in gone)
        return await super().apply(changes)

    async def check(self) -> bool:
        if self._calls % RETRY_EVERY == 0:
            await self._bind(self._ports.values())
        return await super().check()

    async def _bind(self, ports: Iterable[PortRules]) -> None:
        found = await list_addresses(self._namespace)
        self._own = tuple(ip for ips in found.values() for ip in ips)
        if not self._allowed:
            return
        wanted = {f.ip for rules in ports for f in rules.frontends if f.ip} - set(self._own)
        wanted = {ip for ip in wanted if not ip.startswith("127.")}
        here = await list_local_routes(self._namespace, ipv6=self._family == "IPv6")
        try:
            await put_local_routes(self._namespace, add=sorted(wanted - here), delete=sorted(here - wanted))
            self._routed = True
        except LinkError as error:
            logger.warning("addresses of Services not made this machine's own, so node ports alone work: %s", error)
            self._allowed = False

    def _served_on(self, frontend: Frontend) -> Iterable[str]:
        if frontend.ip:
            return (frontend.ip,)
        ours = (ip for ip in self._own if family_of(ip) == self._family)
        return [ip for ip in ours if self.node.serves_node_ports_on(ip) or ip == LOOPBACK[self._family]]


class LoopbackPorts(UserspaceTable):
    """Node ports on loopback alone, for one family."""

    def __init__(self, node: NodeConfig, family: Family, namespace: Path | None) -> None:
        super().__init__(node, namespace, lambda frontend: () if frontend.ip else (LOOPBACK[family],))

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        """Ports without a node port cost nothing."""
        known = {key: rules if rules is not None and rules.node_port else None for key, rules in changes.items()}
        return await super().apply({k: rules for k, rules in known.items() if rules is not None or k in self._ports})


@dataclass(frozen=True, slots=True)
class UserspaceBackend:
    mode: str = "userspace"
    tracked: bool = False

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        return UserspaceAddresses(node, family, namespace)

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        """Routes are all that outlives this process."""
        found = [ip for family in families for ip in await list_local_routes(namespace, ipv6=family == "IPv6")]
        await put_local_routes(namespace, delete=found)
        return bool(found)
