"""What the proxy asks of a kind of kernel rules, whichever it is: nftables, iptables or ipvs.

A backend opens one *rule table* per IP family; the proxy loads it, tells it what changed, and asks it each second
whether somebody else has been there. Decisions are none of its business: it is given ``PortRules``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import Family, NodeConfig, PortKey, PortRules
from seamark.linux.nfnetlink import Nfnetlink
from seamark.proxy.table import Generation, KernelTable


class RuleTable(Protocol):
    """``start`` first, then ``apply`` and ``check`` one after another, never two at once. ``mended``: how often
    somebody else's change was put right.
    """

    @property
    def mended(self) -> int: ...

    @property
    def node(self) -> NodeConfig: ...

    def is_new(self) -> bool:
        """Whether nothing of an earlier run is there: then Services may come piece by piece."""
        ...

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        """Everything, over whatever an earlier run left."""
        ...

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        """Brings the kernel up to date; gives how many elements or rules moved."""
        ...

    async def check(self) -> bool:
        """Mends what somebody else changed; True if there was anything."""
        ...

    def close(self) -> None: ...


class Backend(Protocol):
    """One proxy mode. ``mode`` is its name in kube-proxy's configuration. ``tracked``: flows are translated by the
    kernel, so that its connection tracker has to be told of endpoints that went.
    """

    @property
    def mode(self) -> str: ...

    @property
    def tracked(self) -> bool: ...

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable: ...

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        """Takes away exactly what this backend made, running or not; True if there was anything."""
        ...


@dataclass(frozen=True, slots=True)
class NftablesBackend:
    """``table`` is the name of the nft table, ours alone."""

    table: str = "seamark"
    mode: str = "nftables"
    tracked: bool = True
    _generations: dict[Path | None, Generation] = field(default_factory=dict, compare=False, repr=False)

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        generation = self._generations.setdefault(namespace, Generation())
        return KernelTable(node, Layout(family, self.table), namespace, generation)

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        with Nfnetlink(namespace) as netlink:
            layouts = [Layout(family, self.table) for family in families]
            return sum(netlink.delete_table(layout.nft_family, layout.table) for layout in layouts) > 0
