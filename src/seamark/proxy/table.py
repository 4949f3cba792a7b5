"""One nft table of one family in one namespace: loaded, kept up to date, watched over, removed.

Every change is one transaction bound to the generation we know, so a foreign change (anybody's, to any table)
is noticed at the latest with our next write, and by ``check`` without one. Our chains are then compared with the
digest taken when we loaded them: intact, and the elements are loaded anew over the old ones; damaged or gone, and
the whole table is replaced. Either way in one transaction, and nobody else's table is read or touched.

A table outlives us. A new run takes it over if it was made from the same structure (digests are the names
of empty chains in it): the elements are replaced in one transaction, and clients of affinity Services stay where they
are.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from seamark.compile.diff import FRONTENDS, SEEDED, Batch, Mirror, seeded_elements
from seamark.compile.nftlayout import SETS, Layout, affinity_chain, remember_chain
from seamark.compile.nftstructure import has_structure, render_affinity_chain, render_structure
from seamark.compile.nfttext import render_table
from seamark.compile.ruleset import NodeConfig, PortKey, PortRules
from seamark.linux.nfnetlink import (
    ElementBatch,
    GenerationError,
    Message,
    Nfnetlink,
    NfnetlinkError,
    Table,
    encode_batch,
)
from seamark.linux.nfrules import client_rule
from seamark.linux.nft import apply_nft

logger = logging.getLogger(__name__)

TRIES = 5
AFFINITY_CHAIN = re.compile(r"[ar]\d+_\d+")
BIG = 1 << 17
"""Batches of more bytes are sent from a thread, so that the event loop goes on."""
FEW_SEEDS = 1000
"""Up to here each is asked for by itself; beyond, whole maps are listed."""


class Generation:
    """The generation of a namespace's nftables as our own writes have left it, for all our tables there: each counts
    the others' writes as ours, and a jump that one of them meets makes all of them look.
    """

    def __init__(self) -> None:
        self.number = 0
        self.tables: list[KernelTable] = []

    def suspect(self) -> None:
        for table in self.tables:
            table.suspect = True


class Encoded:
    """Batches as the kernel takes them, for one transaction."""

    def __init__(self) -> None:
        self.chains: list[tuple[int, int]] = []
        self.messages: list[Message] = []

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(len(message[-1]) for message in self.messages)

    def add(self, table: Table, batch: Batch) -> Encoded:
        self.chains += batch.chains
        flushes = tuple(SETS) if batch.flush else ()
        self.messages += encode_batch(table, ElementBatch(flushes, batch.deletes, batch.adds))
        return self


class KernelTable:
    """``start`` first, then ``apply`` and ``check`` one after another, never two at once; nor two tables that share a
    generation.
    """

    def __init__(
        self, node: NodeConfig, layout: Layout, namespace: Path | None, generation: Generation | None = None
    ) -> None:
        self.mirror = Mirror(node, layout)
        self.mended = 0
        self._layout = layout
        self._namespace = namespace
        self._netlink = Nfnetlink(namespace)
        self._table = describe_table(layout)
        self._shared = generation or Generation()
        self._shared.tables.append(self)
        self._fingerprint: dict[str, str] | None = None
        self.suspect = False

    @property
    def _generation(self) -> int:
        return self._shared.number

    @_generation.setter
    def _generation(self, number: int) -> None:
        self._shared.number = number

    @property
    def node(self) -> NodeConfig:
        return self.mirror.node

    def close(self) -> None:
        self._shared.tables.remove(self)
        self._netlink.close()

    def is_new(self) -> bool:
        return not self._netlink.has_table(self._table.family, self._table.name)

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        """The whole product, over whatever an earlier run left, without a moment in between."""
        found = self._read_fingerprint()
        if found is not None and not self._is_ours(found):
            self.mirror.update(ports)
            await self._replace()
            return
        if found is None:
            await self._nft(render_structure(self._layout, self.mirror.node))
            await self._sign(())
        else:
            self.mirror.seed(self._read_seeds(ports.values()))
            self._note()
        first = Encoded()
        for batch in self.mirror.load(ports):
            first.add(self._table, batch)
            await asyncio.sleep(0)
        await self._put(first)

    def _read_seeds(self, ports: Iterable[PortRules]) -> dict[str, dict[bytes, bytes]]:
        found = {name: self._netlink.dump(self._table, name) for name in SEEDED}
        wanted = [element for rules in ports for element in seeded_elements(rules)]
        if len(wanted) > FEW_SEEDS:
            return found | {name: self._netlink.dump(self._table, name) for name in FRONTENDS}
        for name, key in wanted:
            there = self._netlink.get(self._table, name, key)
            if there is not None:
                found.setdefault(name, {})[key] = there[0]
        return found

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        """Brings the kernel up to date; gives how many elements moved. Raises NftError or OSError."""
        batch = self.mirror.update(changes)
        if not batch.is_empty:
            await self._apply(batch)
        return batch.size

    async def _apply(self, batch: Batch) -> None:
        try:
            await self._load_chains(batch.chains)
            await self._send(Encoded().add(self._table, batch))
        except GenerationError:
            self._shared.suspect()
            await self.mend()
        except NfnetlinkError as error:
            logger.warning("loading everything anew table=%s error=%s", self._table.name, error)
            await self.mend()

    async def check(self) -> bool:
        """Mends what somebody else's change may have broken, True if there was one; sweeps. Call it each second."""
        if self._netlink.generation() != self._generation:
            self._shared.suspect()
        if self.suspect:
            await self.mend()
            return True
        swept = self.mirror.sweep()
        if not swept.is_empty:
            await self._apply(swept)
        return False

    def remove(self) -> None:
        """Deletes our table and nothing else."""
        self._netlink.delete_table(self._table.family, self._table.name)

    async def mend(self) -> None:
        """Everything anew: elements over intact chains, else the whole table."""
        await self._put(None)

    async def _put(self, first: Encoded | None) -> None:
        """The whole product; ``first``: as it was made a moment ago."""
        for _ in range(TRIES):
            self._generation = self._netlink.generation()
            found = self._read_fingerprint()
            if found is None or found != self._fingerprint:
                self.mended += 1
                logger.warning("replacing table=%s reason=%s", self._table.name, "gone" if found is None else "changed")
                await self._replace()
                return
            product, first = first or Encoded().add(self._table, self.mirror.full()), None
            try:
                await self._load_chains(product.chains)
                await self._send(product)
            except GenerationError:
                continue
            self.suspect = False
            return
        raise NfnetlinkError(0, f"nftables: table {self._table.name}: somebody changes nftables without a pause")

    async def _replace(self) -> None:
        await self._nft(render_table(self.mirror))
        await self._sign(self.mirror.affinities)
        self.suspect = False

    async def _load_chains(self, chains: Iterable[tuple[int, int]]) -> None:
        have = self._fingerprint or {}
        wanted = [kind for kind in chains if affinity_chain(*kind) not in have]
        if wanted:
            before = self._netlink.generation()
            if before != self._generation:
                raise GenerationError(0, "nftables: changed by somebody else meanwhile")
            await self._nft("".join(render_affinity_chain(self._layout, *kind) for kind in wanted))
            self._add_client_rules(wanted)
            self._note()

    async def _send(self, batch: Encoded) -> None:
        if batch.size > BIG:
            await asyncio.to_thread(self._netlink.send, batch.messages, generation=self._generation)
        else:
            self._netlink.send(batch.messages, generation=self._generation)
        self._generation = (self._generation + 1) & 0xFFFFFFFF or 1

    async def _nft(self, text: str) -> None:
        await apply_nft(text, self._namespace)

    def _add_client_rules(self, affinities: Iterable[tuple[int, int]], *, forget: bool = False) -> None:
        """What nft could not write into the chains it has just made."""
        if self._layout.family == "IPv4":
            return
        table = self._layout.table
        rules = [client_rule(table, "forget", operation="delete", seconds=0)] if forget else []
        for size, seconds in affinities:
            rules.append(client_rule(table, remember_chain(size, seconds), operation="update", seconds=seconds))
        self._netlink.add_rules(self._layout.nft_family, rules, generation=self._netlink.generation())

    async def _sign(self, affinities: Iterable[tuple[int, int]]) -> None:
        """Leaves a digest of the chains as loaded, by which a later run knows that they are whole."""
        self._add_client_rules(affinities, forget=True)
        found = self._read_fingerprint() or {}
        await self._nft(f"add chain {self._table.family} {self._table.name} {_signature(found)}\n")
        self._note()

    def _note(self) -> None:
        """From now on this is how the table must look."""
        self._generation = self._netlink.generation()
        self._fingerprint = self._read_fingerprint()

    def _read_fingerprint(self) -> dict[str, str] | None:
        return self._netlink.fingerprint(self._table.family, self._table.name)

    def _is_ours(self, fingerprint: Mapping[str, str]) -> bool:
        return _signature(fingerprint) in fingerprint and has_structure(fingerprint, self._layout, self.mirror.node)


def describe_table(layout: Layout) -> Table:
    """The table as netlink must know it."""
    return Table(
        family=layout.nft_family,
        name=layout.table,
        verdicts=frozenset(name for name, spec in SETS.items() if "verdict" in spec.data),
        ranges={name: layout.address_length for name, spec in SETS.items() if spec.is_interval},
    )


def _signature(fingerprint: Mapping[str, str]) -> str:
    """Digest of the chains every table has; affinity chains come and go."""
    fixed = sorted(
        (k, v) for k, v in fingerprint.items() if not AFFINITY_CHAIN.fullmatch(k) and not k.startswith("whole_")
    )
    return f"whole_{hashlib.blake2b(repr(fixed).encode(), digest_size=8).hexdigest()}"
