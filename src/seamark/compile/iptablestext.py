"""iptables chains as text: what ``iptables-restore --noflush`` is given, and what ``iptables-save`` printed.

Only the chains that differ are written; the kernel's own chains get rules that lead to ours, and nothing else of theirs
is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Table = Literal["filter", "nat"]


class Chain(NamedTuple):
    table: Table
    name: str


Chains = dict[Chain, tuple[str, ...]]

_NEW = "-m conntrack --ctstate NEW "
HOOKS: Mapping[Chain, tuple[str, ...]] = {
    Chain("nat", "PREROUTING"): ('-m comment --comment "kubernetes service portals" -j KUBE-SERVICES',),
    Chain("nat", "OUTPUT"): ('-m comment --comment "kubernetes service portals" -j KUBE-SERVICES',),
    Chain("nat", "POSTROUTING"): ('-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',),
    Chain("filter", "INPUT"): (
        f'{_NEW}-m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
        f'{_NEW}-m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
    ),
    Chain("filter", "FORWARD"): (
        f'{_NEW}-m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
        '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        f'{_NEW}-m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        f'{_NEW}-m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
    ),
    Chain("filter", "OUTPUT"): (
        f'{_NEW}-m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
        f'{_NEW}-m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        f'{_NEW}-m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
    ),
}
"""The rules of the kernel's own chains that lead to ours, in the form ``iptables-save`` prints them."""


def render_restore(
    old: Mapping[Chain, tuple[str, ...]], new: Mapping[Chain, tuple[str, ...]], hooks: Iterable[tuple[Chain, str]] = ()
) -> str:
    """The changed chains alone, as input of ``iptables-restore --noflush``; empty where nothing differs. ``hooks`` are
    rules of the kernel's own chains that are missing (``HOOKS``).

    The filter table comes first: a Service that loses its last endpoint refuses before its nat goes.
    """
    hooks = list(hooks)
    text = []
    for table in ("filter", "nat"):
        changed = [chain for chain, rules in new.items() if chain.table == table and old.get(chain) != rules]
        gone = [chain for chain in old if chain.table == table and chain not in new]
        jumps = [f"-I {chain.name} 1 {rule}" for chain, rule in reversed(hooks) if chain.table == table]
        if changed or gone or jumps:
            text.append(f"*{table}")
            text += [f":{chain.name} - [0:0]" for chain in (*changed, *gone)]
            text += [f"-A {chain.name} {rule}" for chain in changed for rule in new[chain]]
            text += jumps
            text += [f"-X {chain.name}" for chain in gone]
            text.append("COMMIT")
    return "".join(f"{line}\n" for line in text)


def render_removal(existing: Iterable[Chain], rules: Iterable[tuple[Chain, str]]) -> str:
    """Takes away the given chains and the given rules of the kernel's own chains, and nothing else."""
    existing, rules = sorted(existing), list(rules)
    text = []
    for table in ("filter", "nat"):
        chains = [chain.name for chain in existing if chain.table == table]
        jumps = [f"-D {chain.name} {rule}" for chain, rule in rules if chain.table == table]
        if chains or jumps:
            text += [f"*{table}", *(f":{name} - [0:0]" for name in chains), *jumps]
            text += [*(f"-X {name}" for name in chains), "COMMIT"]
    return "".join(f"{line}\n" for line in text)


def parse_save(text: str) -> dict[Chain, tuple[str, ...]]:
    """What ``iptables-save`` printed, chain by chain."""
    found: dict[Chain, list[str]] = {}
    table: Table | None = None
    for line in text.splitlines():
        if line.startswith("*"):
            table = "nat" if line == "*nat" else "filter" if line == "*filter" else None
        elif table is not None and line.startswith(":"):
            found.setdefault(Chain(table, line[1:].split(" ", 1)[0]), [])
        elif table is not None and line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            found.setdefault(Chain(table, name), []).append(rule)
    return {chain: tuple(rules) for chain, rules in found.items()}


def select_missing_hooks(found: Mapping[Chain, tuple[str, ...]]) -> list[tuple[Chain, str]]:
    return [(chain, rule) for chain, rules in HOOKS.items() for rule in rules if rule not in found.get(chain, ())]
