"""PortRules -> nft elements: the pools of a service port, and everything it puts into the sets of the table.

A pool is an endpoint list in the kernel. Numbers (kind, serial, slot) are allocated, so the elements of a port
depend on the port's rules *and* on what was allocated before: ``plan_pools`` keeps as much of the old pools as it
can (an endpoint keeps its index, a client of an affinity pool its slot), and ``compile_elements`` is a plain function
of the result. What two ports share (a ClusterIP's ``vips`` entry, a ``hairpin`` entry of an endpoint) is counted
by ``compile/diff.py``, which also settles which of two Services has a frontend.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import collapse_addresses, ip_network
from typing import NamedTuple

from seamark.compile import nftlayout as layout
from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.nftlayout import address_bytes, class_bytes, index_bytes, port_bytes, proto_bytes
from seamark.compile.ruleset import Frontend, NodeConfig, PortRules, Target

Elements = dict[tuple[str, bytes], bytes]
"""(set, key) -> data; data of a plain set is empty."""

Pairs = list[tuple[bytes, bytes]]
"""(key, data) of elements of one set."""

MAX_SERIAL = 0xFFFF
SLOTS_OF_AN_EARLIER_RUN = 1024
"""So many numbers after the last one in use are passed over at a restart: clients may hold some that went before it."""


class CapacityError(Exception):
    """The table's numbers ran out: says which and how many there are."""


class Pool(NamedTuple):
    """One endpoint list. ``slots`` (affinity only) are the numbers clients hold; index i gives backend i, and where
    the chain's ``size`` is larger, backends repeat. ``seconds`` 0 = no affinity. ``next_slot``: numbers go round, so
    an endpoint that comes back is another one to the clients it had.
    """

    kind: int
    serial: int
    size: int
    backends: tuple[BackendEndpoint, ...]
    slots: tuple[int, ...] = ()
    seconds: int = 0
    next_slot: int = 0


class Placement(NamedTuple):
    """A service port as it stands in the kernel: its rules, its pools by scope, the frontends it holds."""

    rules: PortRules
    pools: Mapping[str, Pool]
    owned: tuple[Frontend, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """What an earlier run left of an affinity pool: its serial, and which slot was which (ip, port)."""

    serial: int
    slots: Mapping[tuple[str, int], int]


@dataclass(slots=True)
class Serials:
    """Numbers 1..65535. Freed ones come back last, so that a stale client entry has long expired by then."""

    fresh: int = 1
    freed: deque[int] = field(default_factory=deque)
    reserved: set[int] = field(default_factory=set)
    """Used by an earlier run, whose clients may still name them: not handed out as fresh."""

    def take(self) -> int | None:
        while self.fresh <= MAX_SERIAL:
            self.fresh += 1
            if self.fresh - 1 not in self.reserved:
                return self.fresh - 1
        return self.freed.popleft() if self.freed else None

    def give(self, serial: int) -> None:
        self.freed.append(serial)


class Allocator:
    """Kinds and serials of one table. A size whose serials ran out gets one more kind with the same chain."""

    def __init__(self) -> None:
        self.kinds: dict[int, str] = dict(layout.STATIC_KINDS)
        self.affinity = Serials()
        self._affinity_kinds: dict[tuple[int, int], int] = {}
        self._plain: dict[int, list[int]] = {size: [kind] for size, kind in layout.SIZE_KINDS.items()}
        self._serials: dict[int, Serials] = {}

    def take(self, size: int) -> tuple[int, int]:
        """A (kind, serial) for a pool of that chain size without affinity."""
        for kind in self._plain[size]:
            if kind not in self._serials:
                self._serials[kind] = Serials()
            serial = self._serials[kind].take()
            if serial is not None:
                return kind, serial
        kind = self._new_kind(f"n{size}")
        self._plain[size].append(kind)
        return self.take(size)

    def take_affinity(self) -> int:
        serial = self.affinity.take()
        if serial is None:
            raise CapacityError(f"more than {MAX_SERIAL} service ports with sessionAffinity: ClientIP")
        return serial

    def affinity_kind(self, size: int, seconds: int) -> int:
        if (size, seconds) not in self._affinity_kinds:
            self._affinity_kinds[size, seconds] = self._new_kind(layout.affinity_chain(size, seconds))
        return self._affinity_kinds[size, seconds]

    @property
    def affinities(self) -> tuple[tuple[int, int], ...]:
        """(size, seconds) of every affinity chain the table needs."""
        return tuple(self._affinity_kinds)

    def give(self, pool: Pool) -> None:
        (self.affinity if pool.seconds else self._serials[pool.kind]).give(pool.serial)

    def _new_kind(self, chain: str) -> int:
        kind = layout.FIRST_FREE_KIND + len(self.kinds) - len(layout.STATIC_KINDS)
        if kind > MAX_SERIAL:
            raise CapacityError(f"no number left for chain {chain}: restart the proxy to drop chains of old timeouts")
        self.kinds[kind] = chain
        return kind


def used_targets(rules: PortRules) -> Iterator[Target]:
    """The targets packets can reach: external ones only where there is an external frontend."""
    yield rules.internal
    if rules.node_port or rules.external_ips or rules.load_balancer_ips:
        yield rules.external
        if rules.external_short_circuit is not None:
            yield rules.external_short_circuit


def plan_pools(
    old: Mapping[str, Pool], rules: PortRules, allocator: Allocator, seeds: Mapping[str, Seed]
) -> dict[str, Pool]:
    """The pools for the rules, by scope, as near to the old ones as they can be."""
    pools: dict[str, Pool] = {}
    for target in used_targets(rules):
        if target.action == "balance" and target.scope not in pools:
            backends = target.endpoints[: layout.MAX_POOL]
            kept = old.get(target.scope)
            if rules.affinity_seconds:
                seed = seeds.get(target.scope)
                pools[target.scope] = _plan_affinity(kept, backends, rules.affinity_seconds, allocator, seed)
            else:
                pools[target.scope] = _plan_plain(kept, backends, allocator)
    return pools


def _plan_plain(old: Pool | None, backends: tuple[BackendEndpoint, ...], allocator: Allocator) -> Pool:
    size = layout.pool_size(len(backends))
    if old is not None and not old.seconds and old.size == size and len(old.backends) == len(backends):
        return Pool(old.kind, old.serial, size, _in_old_order(old.backends, backends))
    kind, serial = allocator.take(size)
    return Pool(kind, serial, size, backends)


def _in_old_order(old: tuple[BackendEndpoint, ...], new: tuple[BackendEndpoint, ...]) -> tuple[BackendEndpoint, ...]:
    """As many as before: who stays keeps its index, newcomers take the places of those who left."""
    staying = {e[:2]: e for e in new}
    known = {e[:2] for e in old}
    newcomers = (e for e in new if e[:2] not in known)
    return tuple(staying.get(e[:2]) or next(newcomers) for e in old)


def _plan_affinity(
    old: Pool | None,
    backends: tuple[BackendEndpoint, ...],
    seconds: int,
    allocator: Allocator,
    seed: Seed | None,
) -> Pool:
    size = layout.pool_size(len(backends))
    if old is not None and old.seconds:
        serial, known = old.serial, {e[:2]: slot for e, slot in zip(old.backends, old.slots, strict=True)}
        first = old.next_slot
    elif seed is not None:
        serial, known = seed.serial, dict(seed.slots)
        first = max(known.values(), default=0) + SLOTS_OF_AN_EARLIER_RUN
    else:
        serial, known, first = allocator.take_affinity(), {}, 0
    kept = {known[e[:2]] for e in backends if e[:2] in known}
    after = (slot % layout.MAX_POOL for slot in range(first, first + layout.MAX_POOL))
    free = (slot for slot in after if slot not in kept)
    fresh = {e[:2]: next(free) for e in backends if e[:2] not in known}
    slots = tuple(known[e[:2]] if e[:2] in known else fresh[e[:2]] for e in backends)
    next_slot = (tuple(fresh.values())[-1] + 1) % layout.MAX_POOL if fresh else first
    return Pool(allocator.affinity_kind(size, seconds), serial, size, backends, slots, seconds, next_slot)


# ---- elements -------------------------------------------------------------------------------------------------


def compile_elements(placement: Placement, node: NodeConfig) -> Elements:
    """Everything one service port puts into the table."""
    found = compile_own(placement, node)
    for pool in placement.pools.values():
        found.update(pool_elements(pool))
    return found


def compile_own(placement: Placement, node: NodeConfig) -> Elements:
    """Everything but what is in its pools."""
    found = _leading_elements(placement)
    found.update(_hairpin(placement, node))
    return found


class Difference(NamedTuple):
    """From one placement to the next. ``moved``: (key, new data) of ``eps`` whose data alone differs; of the other
    elements, ``before`` and ``after`` have what is not plainly the same in both.
    """

    before: Elements
    after: Elements
    moved: Pairs


def compile_difference(old: Placement, new: Placement, node: NodeConfig) -> Difference:
    """A pool that stayed is compared place by place, and what leads to pools that stayed not at all: bytes are made for
    what changed.
    """
    found = Difference(Elements(), Elements(), [])
    if _leads(old) != _leads(new):
        found.before.update(_leading_elements(old))
        found.after.update(_leading_elements(new))
    for scope in {**old.pools, **new.pools}:
        was, now = old.pools.get(scope), new.pools.get(scope)
        if was is not None and now is not None and _is_one_list(was, now):
            count = len(was.backends)
            changed = [a[:2] != b[:2] for a, b in zip(was.backends, now.backends, strict=True)]
            found.moved.extend(_plain_pairs(now, [i for i in range(now.size) if changed[i % count]]))
            continue
        if was is not None:
            found.before.update(pool_elements(was))
        if now is not None:
            found.after.update(pool_elements(now))
    found.before.update(_hairpin(old, node))
    found.after.update(_hairpin(new, node))
    return found


def _is_one_list(old: Pool, new: Pool) -> bool:
    """Whether it is a plain pool that kept its number, so that its places can be compared."""
    return (old.kind, old.serial, old.seconds, len(old.backends)) == (new.kind, new.serial, 0, len(new.backends))


def _leads(placement: Placement) -> tuple[object, ...]:
    """All that ``_leading_elements`` depends on."""
    rules, numbers = placement.rules, {scope: pool[:2] for scope, pool in placement.pools.items()}
    targets = (rules.internal, rules.external, rules.external_short_circuit)
    led = [target and (target.action, numbers.get(target.scope)) for target in targets]
    return placement.owned, rules.source_ranges, rules.load_balancer_ips, led


def _leading_elements(placement: Placement) -> Elements:
    """What leads packets to the pools."""
    rules, found = placement.rules, Elements()
    short = rules.external_short_circuit
    for frontend in placement.owned:
        key = frontend_key(frontend)
        if frontend.scope == "internal":
            found["cip", key] = pool_id(rules.internal, placement.pools)
            found["vips", address_bytes(frontend.ip)] = b""
            continue
        cluster, local = ("ext", "extl") if frontend.ip else ("np", "npl")
        found[cluster, key] = pool_id(short or rules.external, placement.pools)
        if short is not None:
            found[local, key] = pool_id(rules.external, placement.pools)
        if rules.source_ranges and frontend.ip in rules.load_balancer_ips:
            found["lbguard", key] = b""
            found.update((("lbsrc", key + piece), b"") for piece in _range_bytes(rules.source_ranges))
    return found


def frontend_key(frontend: Frontend) -> bytes:
    """The key of a frontend in cip, ext and extl; of a node port in np and npl."""
    service = proto_bytes(frontend.protocol) + port_bytes(frontend.port)
    return address_bytes(frontend.ip) + service if frontend.ip else service


def pool_id(target: Target, pools: Mapping[str, Pool]) -> bytes:
    if target.action == "balance":
        pool = pools[target.scope]
        return class_bytes(pool.kind, pool.serial)
    return class_bytes(layout.REFUSE_KIND if target.action == "refuse" else layout.DROP_KIND, 0)


def kind_elements(kinds: Mapping[int, str]) -> Elements:
    return {("kinds", class_bytes(kind, 0)): chain.encode() for kind, chain in kinds.items()}


def pool_pairs(pool: Pool) -> dict[str, Pairs]:
    """Everything of one pool, by set; nothing twice."""
    if not pool.seconds:
        return {"eps": _plain_pairs(pool, range(pool.size))}
    prefix, count = class_bytes(0, pool.serial), len(pool.backends)
    names = [class_bytes(slot, pool.serial) for slot in pool.slots]
    picks = [(prefix + index_bytes(i), names[i % count]) for i in range(pool.size)]
    return {"pick": picks, "slots": list(zip(names, map(_place_bytes, pool.backends), strict=True))}


def pool_elements(pool: Pool) -> Elements:
    return {element: data for name, pairs in pool_pairs(pool).items() for element, data in _in_set(name, pairs)}


def _in_set(name: str, pairs: Pairs) -> Iterator[tuple[tuple[str, bytes], bytes]]:
    return (((name, key), data) for key, data in pairs)


def _plain_pairs(pool: Pool, places: Sequence[int]) -> Pairs:
    """Those at the given places."""
    prefix, backends, count = class_bytes(pool.kind, pool.serial), pool.backends, len(pool.backends)
    if pool.size == count:
        return [(prefix + index_bytes(i), _place_bytes(backends[i])) for i in places]
    known = {i: _place_bytes(backends[i]) for i in {i % count for i in places}}
    return [(prefix + index_bytes(i), known[i % count]) for i in places]


def _place_bytes(endpoint: BackendEndpoint) -> bytes:
    return address_bytes(endpoint[0]) + port_bytes(endpoint[1])


def _hairpin(placement: Placement, node: NodeConfig) -> Iterator[tuple[tuple[str, bytes], bytes]]:
    protocol = proto_bytes(placement.rules.key.protocol)
    for pool in placement.pools.values():
        for endpoint in pool.backends:
            if endpoint.node == node.name:
                ip = address_bytes(endpoint.ip)
                yield ("hairpin", ip + ip + protocol + port_bytes(endpoint.port)), b""


def _range_bytes(cidrs: Iterable[str]) -> Iterator[bytes]:
    """First and last address of each range; ranges inside another would be refused by the kernel."""
    networks = [ip_network(cidr) for cidr in cidrs]
    for network in collapse_addresses(networks):  # type: ignore[type-var]  # one family per Service and product
        yield network.network_address.packed + network.broadcast_address.packed
