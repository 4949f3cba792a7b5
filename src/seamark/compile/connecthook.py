"""PortRules -> what connect() of a pod is told, as contents of maps: which Services, which endpoints, what differs.

A connection that is sent to its endpoint in connect() needs no translation later. That is right where the choice
depends on nothing but the address asked for and nobody has to look at the packets:

* TCP alone: a UDP socket would stay with an endpoint that has gone, and there is nobody to tell it.
* ClusterIPs alone, without session affinity: a client is remembered by the rules of packets, whatever way it came.
* Only where there are endpoints: refusals and drops are the rules' as well.
* Not where everything is to be masqueraded.

Everything else is left out, and meets the rules of packets as if there were no hook. The layout of the maps is
``linux/connecthook.py``'s.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.nftlayout import address_bytes, port_bytes
from seamark.compile.ruleset import Frontend, NodeConfig, PortKey, PortRules
from seamark.compile.tracer import show

MAPPED = bytes(10) + b"\xff\xff"
MANY_POOLS = 1 << 32


@dataclass(slots=True)
class HookBatch:
    """Keys and values of the two maps, in the order in which they have to be put and taken away."""

    endpoints: list[tuple[bytes, bytes]] = field(default_factory=list)
    frontends: list[tuple[bytes, bytes]] = field(default_factory=list)
    gone_frontends: list[bytes] = field(default_factory=list)
    gone_endpoints: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.endpoints) + len(self.frontends) + len(self.gone_frontends) + len(self.gone_endpoints)


@dataclass(frozen=True, slots=True)
class Held:
    """A frontend as the maps have it."""

    pool: int
    endpoints: tuple[BackendEndpoint, ...]

    @property
    def keys(self) -> list[bytes]:
        return [numbers_bytes(self.pool, index) for index in range(len(self.endpoints))]


def select_hooked(rules: PortRules, node: NodeConfig) -> tuple[BackendEndpoint, ...]:
    """The endpoints that connect() chooses among; none = the rules of packets decide."""
    fits = rules.key.protocol == "TCP" and not rules.affinity_seconds and not node.masquerade_all
    return rules.internal.endpoints if fits else ()


class HookMirror:
    """What the maps hold. A batch it gave is taken as applied. ``frontends`` and ``endpoints``: so many fit into them;
    a Service beyond that is left to the rules until it changes.
    """

    def __init__(self, node: NodeConfig, *, frontends: int, endpoints: int) -> None:
        self._node = node
        self._frontends, self._endpoints = frontends, endpoints
        self._ports: dict[PortKey, tuple[Frontend, ...]] = {}
        self._claims: dict[Frontend, dict[PortKey, tuple[BackendEndpoint, ...]]] = {}
        self._held: dict[Frontend, Held] = {}
        self._used = 0
        self._pool = 0

    def update(self, changes: Mapping[PortKey, PortRules | None]) -> HookBatch:
        """The batch for the ports that changed; None = the port is gone."""
        touched: dict[Frontend, None] = {}
        for key, rules in changes.items():
            touched.update(dict.fromkeys(self._withdraw(key)))
            if rules is not None:
                touched.update(dict.fromkeys(self._claim(rules)))
        batch = HookBatch()
        for frontend in touched:
            self._settle(frontend, batch)
        self._used -= len(batch.gone_endpoints)
        return batch

    def _withdraw(self, key: PortKey) -> tuple[Frontend, ...]:
        frontends = self._ports.pop(key, ())
        for frontend in frontends:
            claims = self._claims[frontend]
            del claims[key]
            if not claims:
                del self._claims[frontend]
        return frontends

    def _claim(self, rules: PortRules) -> tuple[Frontend, ...]:
        """One that is not hooked claims its frontends too: they are not another Service's then."""
        frontends = tuple(f for f in rules.frontends if f.scope == "internal" and f.protocol == "TCP")
        if frontends:
            self._ports[rules.key] = frontends
        for frontend in frontends:
            self._claims.setdefault(frontend, {})[rules.key] = select_hooked(rules, self._node)
        return frontends

    def _settle(self, frontend: Frontend, batch: HookBatch) -> None:
        """Of two Services the lesser PortKey has the frontend, as everywhere."""
        claims, held = self._claims.get(frontend), self._held.get(frontend)
        wanted = claims[min(claims)] if claims else ()
        if wanted and held is not None and [e[:2] for e in wanted] == [e[:2] for e in held.endpoints]:
            return
        if wanted and self._has_room(held, len(wanted), batch):
            self._pool = (self._pool + 1) % MANY_POOLS
            new = self._held[frontend] = Held(self._pool, wanted)
            self._used += len(wanted)
            places = [place_bytes(e.ip, e.port) for e in wanted]
            batch.endpoints += zip(new.keys, places, strict=True)
            batch.frontends.append((place_bytes(frontend.ip, frontend.port), numbers_bytes(new.pool, len(wanted))))
        elif held is not None:
            del self._held[frontend]
            batch.gone_frontends.append(place_bytes(frontend.ip, frontend.port))
        if held is not None:
            batch.gone_endpoints += held.keys

    def _has_room(self, held: Held | None, count: int, batch: HookBatch) -> bool:
        """What goes with this batch goes after everything new has come."""
        frontends = len(self._held) + len(batch.gone_frontends)
        return self._used + count <= self._endpoints and (held is not None or frontends < self._frontends)


def place_bytes(ip: str, port: int) -> bytes:
    """An address, IPv4 as IPv6, and a port, as both maps have them."""
    address = address_bytes(ip)
    return (address if len(address) == 16 else MAPPED + address) + port_bytes(port)


def render_place(place: bytes) -> str:
    address = IPv6Address(place[:16])
    return show(str(address.ipv4_mapped or address), int.from_bytes(place[16:18], "big"))


def numbers_bytes(first: int, second: int) -> bytes:
    return struct.pack("=II", first, second)
