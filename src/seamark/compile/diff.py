"""Two nft products -> the elements that differ, as one batch; and the mirror of what the kernel holds.

The mirror is our own knowledge of the table: nothing is ever listed to learn what is there. ``update`` takes the
service ports that changed and gives the batch for them, in work proportional to those ports; ``full`` gives the whole
product, to be applied after any error, at a start over an existing table, and after somebody else's change.

Rules:

* A batch is one transaction: its deletes come before its adds, so an element may change its data in place.
* Which of two Services has a frontend both claim is settled here and says the same whatever came first: the lesser
  PortKey. The loser gets it when the winner goes.
* Endpoints of a pool that was left are deleted later, by ``sweep``: a packet that read the pool's number just before
  the commit still finds them. Numbers are handed out again only after that.
* ``aff``, which packets fill, is in no batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from seamark.compile.nft import (
    Allocator,
    Elements,
    Placement,
    Pool,
    Seed,
    compile_difference,
    compile_elements,
    compile_own,
    frontend_key,
    kind_elements,
    plan_pools,
    pool_pairs,
)
from seamark.compile.nftlayout import SETS, Layout, class_numbers, render_value
from seamark.compile.ruleset import Frontend, NodeConfig, PortKey, PortRules, Ruleset, Target

SHARED = frozenset({"vips", "hairpin"})
"""Sets in which two ports may want the same element."""

LINGERING = frozenset({"eps", "pick"})
"""Sets whose keys a packet may hold from an earlier lookup."""

PIECE = 500
"""Ports that are made into elements at once."""

Element = tuple[str, bytes]


@dataclass(slots=True)
class Batch:
    """One transaction. ``chains`` are affinity chains (size, seconds) the table lacks; ``flush`` = empty first every
    set that Services fill.
    """

    chains: tuple[tuple[int, int], ...] = ()
    flush: bool = False
    deletes: dict[str, list[bytes]] = field(default_factory=dict)
    adds: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=dict)

    def delete(self, element: Element) -> None:
        self.deletes.setdefault(element[0], []).append(element[1])

    def add(self, element: Element, data: bytes) -> None:
        self.adds.setdefault(element[0], []).append((element[1], data))

    @property
    def is_empty(self) -> bool:
        return not (self.chains or self.flush or self.deletes or self.adds)

    @property
    def size(self) -> int:
        """How many elements the batch deletes and adds."""
        return sum(map(len, self.deletes.values())) + sum(map(len, self.adds.values()))


class Mirror:
    """What one table holds. A batch it gave is taken as applied; after an error ask for ``full``."""

    def __init__(self, node: NodeConfig, layout: Layout | None = None) -> None:
        self.node = node
        self.layout = layout or Layout()
        self._allocator = Allocator()
        self._ports: dict[PortKey, Placement] = {}
        self._claims: dict[Frontend, tuple[PortKey, ...]] = {}
        self._shared: Counter[Element] = Counter()
        self._seeds: dict[Element, Seed] = {}
        self._unclaimed: set[int] = set()
        self._lingering: dict[Element, bytes] = {}
        self._left: list[Pool] = []

    @property
    def ports(self) -> Mapping[PortKey, Placement]:
        return self._ports

    @property
    def affinities(self) -> tuple[tuple[int, int], ...]:
        """(size, seconds) of every affinity chain the table needs."""
        return self._allocator.affinities

    def seed(self, tables: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """Takes over serials and slots of affinity pools from an earlier run's table (``SEEDED`` sets), so that
        clients stay where they are. Call before the first update, which uses them up.
        """
        chains = {class_numbers(key)[0]: chain for key, chain in tables.get("kinds", {}).items()}
        slots: dict[int, dict[tuple[str, int], int]] = {}
        for key, place in tables.get("slots", {}).items():
            slot, serial = class_numbers(key)
            ip, port = render_value(self.layout, SETS["slots"].data, place).split(" . ")
            slots.setdefault(serial, {})[ip, int(port)] = slot
        self._unclaimed |= slots.keys()
        for name in FRONTENDS:
            for key, pool in tables.get(name, {}).items():
                kind, serial = class_numbers(pool)
                if chains.get(kind, b"").startswith(b"a"):
                    self._seeds[name, key] = Seed(serial, slots.get(serial, {}))
                    self._unclaimed.add(serial)
        self._allocator.affinity.reserved |= self._unclaimed

    def update(self, changes: Mapping[PortKey, PortRules | None]) -> Batch:
        """The batch for the ports that changed; None = the port is gone."""
        batch = self._update(changes)
        self._seeds = {}
        return batch

    def _update(self, changes: Mapping[PortKey, PortRules | None]) -> Batch:
        touched = dict.fromkeys(changes)
        for key, rules in changes.items():
            for other in self._claim(key, rules):
                touched[other] = None
        batch, chains, kinds = Batch(), len(self.affinities), len(self._allocator.kinds)
        shared: dict[Element, int] = {}
        for key in touched:
            old = self._ports.pop(key, None)
            rules = changes.get(key, old.rules if old else None)
            new = self._place(key, rules, old) if rules is not None else None
            if new is not None:
                self._ports[key] = new
            self._diff(old, new, batch, shared)
            self._left += _dropped(old, new)
        self._diff_shared(shared, batch)
        batch.chains = self.affinities[chains:]
        fresh = dict(islice(self._allocator.kinds.items(), kinds, None))
        for element, data in kind_elements(fresh).items():
            batch.add(element, data)
        return batch

    def load(self, ports: Mapping[PortKey, PortRules]) -> Iterator[Batch]:
        """The first batches of all, for one transaction: these ports, replacing whatever is in the sets. What ``full``
        gives, in one pass, and never more of it at once than a piece.
        """
        first = Batch(flush=True)
        for element, data in kind_elements(self._allocator.kinds).items():
            first.add(element, data)
        yield first
        rest = iter(ports.items())
        while piece := dict(islice(rest, PIECE)):
            yield self._update(piece)
        self._seeds = {}

    def sweep(self) -> Batch:
        """Deletes what lingers; ask for it some milliseconds after the last update was applied."""
        batch = Batch()
        for element in self._lingering:
            batch.delete(element)
        self._forget_lingering()
        return batch

    def _forget_lingering(self) -> None:
        self._lingering = {}
        for pool in self._left:
            self._allocator.give(pool)
        self._left = []

    def full(self) -> Batch:
        """The whole product, replacing whatever is in the sets."""
        self._forget_lingering()
        batch = Batch(chains=self.affinities, flush=True)
        for element, data in kind_elements(self._allocator.kinds).items():
            batch.add(element, data)
        for placement in self._ports.values():
            for element, data in compile_elements(placement, self.node).items():
                if element[0] not in SHARED:
                    batch.add(element, data)
        for element in self._shared:
            batch.add(element, b"")
        return batch

    def _claim(self, key: PortKey, rules: PortRules | None) -> Iterable[PortKey]:
        """Settles the frontends of a port anew; gives the other ports that won or lost one by it."""
        old = self._ports.get(key)
        if old is not None and rules is not None and old.rules.claims == rules.claims:
            return
        after = rules.frontends if rules else ()
        changed: Iterable[Frontend] = after if old is None else set(old.rules.frontends) ^ set(after)
        for frontend in changed:
            claims = self._claims.get(frontend)
            if claims is None:
                self._claims[frontend] = (key,)
                continue
            others = tuple(k for k in claims if k != key)
            now = tuple(sorted((*others, key))) if frontend in after else others
            if now:
                self._claims[frontend] = now
            else:
                del self._claims[frontend]
            if others and claims[0] != now[0]:
                yield others[0]

    def _place(self, key: PortKey, rules: PortRules, old: Placement | None) -> Placement:
        claims = self._claims
        owned = tuple([f for f in rules.frontends if len(claims[f]) == 1 or claims[f][0] == key])
        seeds = self._take_seeds(rules) if self._seeds and old is None else {}
        return Placement(rules, plan_pools(old.pools if old else {}, rules, self._allocator, seeds), owned)

    def _take_seeds(self, rules: PortRules) -> dict[str, Seed]:
        """The seed of each scope, found by a frontend that leads to it; each serial is taken once."""
        found: dict[str, Seed] = {}
        for name, frontend, target in _roles(rules):
            seed = self._seeds.pop((name, frontend_key(frontend)), None)
            if seed is None or target.action != "balance" or not rules.affinity_seconds:
                continue
            if seed.serial in self._unclaimed and target.scope not in found:
                self._unclaimed.discard(seed.serial)
                found[target.scope] = seed
        return found

    def _diff(self, old: Placement | None, new: Placement | None, batch: Batch, shared: dict[Element, int]) -> None:
        if old is None and new is not None and not self._lingering:
            self._add_new(new, batch, shared)
            return
        before, after = self._compare(old, new, batch)
        for element, data in before.items():
            if after.get(element) == data:
                continue
            if element[0] in SHARED:
                shared[element] = shared.get(element, 0) - 1
            elif element[0] in LINGERING and element not in after:
                self._lingering[element] = data
            else:
                batch.delete(element)
        for element, data in after.items():
            if before.get(element) == data:
                continue
            if element[0] in SHARED:
                shared[element] = shared.get(element, 0) + 1
            elif self._lingering.get(element) == data:
                del self._lingering[element]
            else:
                if self._lingering.pop(element, None) is not None:
                    batch.delete(element)
                batch.add(element, data)

    def _compare(self, old: Placement | None, new: Placement | None, batch: Batch) -> tuple[Elements, Elements]:
        """What goes and what comes; places of pools that stayed go into the batch as they are."""
        if old is None or new is None:
            before = compile_elements(old, self.node) if old else Elements()
            return before, compile_elements(new, self.node) if new else Elements()
        before, after, moved = compile_difference(old, new, self.node)
        if moved:
            batch.deletes.setdefault("eps", []).extend(key for key, _ in moved)
            batch.adds.setdefault("eps", []).extend(moved)
        return before, after

    def _add_new(self, new: Placement, batch: Batch, shared: dict[Element, int]) -> None:
        """What a load is made of."""
        for element, data in compile_own(new, self.node).items():
            if element[0] in SHARED:
                shared[element] = shared.get(element, 0) + 1
            else:
                batch.add(element, data)
        for pool in new.pools.values():
            for name, pairs in pool_pairs(pool).items():
                batch.adds.setdefault(name, []).extend(pairs)

    def _diff_shared(self, steps: Mapping[Element, int], batch: Batch) -> None:
        for element, step in steps.items():
            before = self._shared[element]
            self._shared[element] += step
            if not self._shared[element]:
                del self._shared[element]
            if before and not before + step:
                batch.delete(element)
            elif not before and step:
                batch.add(element, b"")


FRONTENDS = ("cip", "ext", "extl", "np", "npl")
SEEDED = ("kinds", "slots")
"""What ``Mirror.seed`` needs of a table whole; of ``FRONTENDS``, those that ``seeded_elements`` names."""


def seeded_elements(rules: PortRules) -> Iterator[Element]:
    """By which an earlier run's pool of this port is found, if it may have one."""
    if rules.affinity_seconds:
        yield from ((name, frontend_key(frontend)) for name, frontend, _ in _roles(rules))


def _roles(rules: PortRules) -> Iterator[tuple[str, Frontend, Target]]:
    """(set, frontend, target) for every element by which a packet reaches a target."""
    short = rules.external_short_circuit
    for frontend in rules.frontends:
        cluster, local = ("ext", "extl") if frontend.ip else ("np", "npl")
        if frontend.scope == "internal":
            yield "cip", frontend, rules.internal
        elif short is None:
            yield cluster, frontend, rules.external
        else:
            yield cluster, frontend, short
            yield local, frontend, rules.external


def _dropped(old: Placement | None, new: Placement | None) -> list[Pool]:
    if old is None:
        return []
    kept = {_pool_key(pool) for pool in new.pools.values()} if new else set()
    return [pool for pool in old.pools.values() if _pool_key(pool) not in kept]


def _pool_key(pool: Pool) -> tuple[bool, int, int]:
    """An affinity pool keeps its serial over changes of kind; any other is its kind and serial."""
    return (True, 0, pool.serial) if pool.seconds else (False, pool.kind, pool.serial)


def compile_nft(ruleset: Ruleset, layout: Layout | None = None) -> Mirror:
    """The whole nft product of a ruleset, from nothing."""
    mirror = Mirror(ruleset.node, layout)
    mirror.update(dict(sorted(ruleset.ports.items())))
    return mirror
