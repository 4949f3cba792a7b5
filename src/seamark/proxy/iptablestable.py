"""The iptables mode: one rule table a family, kept up to date through ``iptables-restore --noflush``.

A change costs the chains that differ, in text; the kernel still replaces its whole table each time, which is why
nftables is the default. Nothing is listed to learn what is there, but at a start and after somebody's damage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seamark.compile.iptables import MARKER, PortChains, assemble, compile_port, is_ours, select_owned
from seamark.compile.iptablestext import (
    HOOKS,
    Chain,
    Chains,
    parse_save,
    render_removal,
    render_restore,
    select_missing_hooks,
)
from seamark.compile.ruleset import Family, Frontend, NodeConfig, PortKey, PortRules
from seamark.linux.iptables import Iptables, IptablesError, Variant
from seamark.linux.nfnetlink import Nfnetlink
from seamark.proxy.backend import RuleTable

logger = logging.getLogger(__name__)

CHECK_EVERY = 5
"""Looks for damage at each so many calls of ``check``, as every look costs two processes; at once where the generation
of nftables moved, which it does with every change of iptables on top of them.
"""
UNKNOWN = ("?",)
"""The content of a chain that an earlier run left: to be written anew."""


class IptablesTable:
    """``start`` first, then ``apply`` and ``check`` one after another, never two at once."""

    def __init__(self, node: NodeConfig, family: Family, iptables: Iptables, watched: WatchedGeneration) -> None:
        self.node = node
        self._watched = watched
        self.mended = 0
        self._family = family
        self._iptables = iptables
        self._ports: dict[PortKey, PortRules] = {}
        self._parts: dict[PortKey, tuple[PortRules, tuple[Frontend, ...], PortChains]] = {}
        self._applied: Chains = {}
        self._calls = 0

    def close(self) -> None:
        """Nothing is held open."""

    def is_new(self) -> bool:
        """Every change costs in proportion to all Services, so that pieces would cost more than the whole."""
        return False

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        """Everything; chains of ours that an earlier run (or a kube-proxy) left are taken over or removed."""
        self._ports = dict(ports)
        found = parse_save(await self._iptables.save())
        left = {chain: UNKNOWN for chain in found if is_ours(chain)}
        await self._bring(left, select_missing_hooks(found))

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        if not changes:
            return 0
        for key, rules in changes.items():
            if rules is None:
                self._ports.pop(key, None)
            else:
                self._ports[key] = rules
        return await self._bring(self._applied, ())

    async def check(self) -> bool:
        """Somebody's flush takes the jumps to our chains away with the rest: that is what is looked for."""
        self._calls += 1
        if self._calls % CHECK_EVERY and not self._watched.has_moved():
            return False
        for chain in (Chain("nat", "PREROUTING"), Chain("filter", "FORWARD")):
            there = await self._iptables.list_chain(chain.table, chain.name)
            if any(rule not in there for rule in HOOKS[chain]):
                logger.warning("rules changed by somebody else: writing all anew table=%s", chain.table)
                self.mended += 1
                await self.start(self._ports)
                return True
        self._watched.note()
        return False

    async def _bring(self, old: Mapping[Chain, tuple[str, ...]], hooks: Iterable[tuple[Chain, str]]) -> int:
        """From ``old`` to what the ports mean now; gives the number of lines it took."""
        new = self._compile()
        text = render_restore(old, new, hooks)
        if text:
            await self._iptables.restore(text)
            self._watched.note()
        self._applied = new
        return text.count("\n")

    def _compile(self) -> Chains:
        """Ports that did not change keep what was compiled for them."""
        owned, parts = select_owned(self._ports), {}
        for key in owned:  # in order
            rules = self._ports[key]
            known = self._parts.get(key)
            if known is None or known[0] is not rules or known[1] != owned[key]:
                known = (rules, owned[key], compile_port(rules, owned[key], self.node, self._family))
            parts[key] = known
        self._parts = parts
        return assemble({key: part for key, (_, _, part) in parts.items()}, self.node, self._family)


class WatchedGeneration:
    """The generation as our own changes have left it, for both families; never moves where there are no nftables."""

    def __init__(self, namespace: Path | None) -> None:
        self._namespace = namespace
        self._noted = self._read()

    def note(self) -> None:
        self._noted = self._read()

    def has_moved(self) -> bool:
        return self._read() != self._noted

    def _read(self) -> int:
        try:
            with Nfnetlink(self._namespace) as netlink:
                return netlink.generation()
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class IptablesBackend:
    """``variant``: the machine's own choice of iptables, unless one is named."""

    variant: Variant = ""
    mode: str = "iptables"
    tracked: bool = True
    _watched: dict[Path | None, WatchedGeneration] = field(default_factory=dict, compare=False, repr=False)

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        watched = self._watched.setdefault(namespace, WatchedGeneration(namespace))
        return IptablesTable(node, family, self._iptables(family, namespace), watched)

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        """Only rules that carry our mark: a kube-proxy's are its own to clean up."""
        removed = False
        for family in families:
            iptables = self._iptables(family, namespace)
            try:
                found = parse_save(await iptables.save())
            except IptablesError as error:
                logger.debug("nothing to remove: %s", error)
                continue
            if MARKER in found:
                missing = select_missing_hooks(found)
                jumps = [(c, rule) for c, rules in HOOKS.items() for rule in rules if (c, rule) not in missing]
                await iptables.restore(render_removal(filter(is_ours, found), jumps))
                removed = True
        return removed

    def _iptables(self, family: Family, namespace: Path | None) -> Iptables:
        return Iptables(namespace, ipv6=family == "IPv6", variant=self.variant)
