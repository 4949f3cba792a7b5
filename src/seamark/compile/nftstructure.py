"""The chains and rules of the nft table, as text for ``nft -f``: the same however many Services there are.

Affinity: ``pick`` gives a new client one ``slot:serial``, ``aff`` remembers it (an update of a known client
refreshes its timeout and never its slot: the first wins, so parallel first connections agree), ``slots`` gives the
endpoint. The endpoint of a removed slot is simply missing: the client is forgotten and chosen anew in the same pass,
and everybody else stays. The serial of an affinity pool outlives a change of its endpoints, which is what keeps them.
The rules that write into ``aff`` stand alone in the chains ``r*`` and ``forget``, because nft 1.0.6 cannot express
them for IPv6; they are added over netlink there (``linux/nfrules.py``).

Refusals work inside nat chains, so there is no filter chain and established packets never meet a rule of ours.
nft wants a line per rule, and a rule that names ``eps`` or ``slots`` must be loaded together with the table (a later
``add rule`` meets "conflicting protocols"); rules that name ``pick`` and ``aff`` may follow later.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from hashlib import blake2b

from seamark.compile.nftlayout import (
    AFFINITY_SIZE,
    EXACT,
    LADDER,
    NFT_TYPES,
    SETS,
    Layout,
    SetSpec,
    affinity_chain,
    remember_chain,
)
from seamark.compile.ruleset import NodeConfig, select_ranges


def render_structure(layout: Layout, node: NodeConfig, affinities: Iterable[tuple[int, int]] = ()) -> str:
    """The table without Services, as a file for ``nft -f``; ``affinities`` are (size, seconds) of pools to come.

    The name of an empty chain is a digest of all the rest, by which a later run knows its own structure.
    """
    blocks = [*_set_blocks(layout, node), *_chain_blocks(layout, node)]
    blocks.append(_chain(structure_chain(blocks), ()))
    for kind in affinities:
        blocks += [_chain(name, rules) for name, rules in affinity_chains(*kind, layout).items()]
    return f"table {layout.nft_family} {layout.table} {{\n" + "\n".join(blocks) + "\n}\n"


def structure_chain(blocks: Iterable[str]) -> str:
    return f"layout_{blake2b(''.join(blocks).encode(), digest_size=8).hexdigest()}"


def has_structure(chains: Container[str], layout: Layout, node: NodeConfig) -> bool:
    """Whether a table with these chains was made from the structure we would make."""
    return structure_chain([*_set_blocks(layout, node), *_chain_blocks(layout, node)]) in chains


def render_affinity_chain(layout: Layout, size: int, seconds: int) -> str:
    """One more affinity chain for a table that is loaded already."""
    table = f"{layout.nft_family} {layout.table}"
    lines = []
    for name, rules in affinity_chains(size, seconds, layout).items():
        lines += [f"add chain {table} {name}", *(f"add rule {table} {name} {rule}" for rule in rules)]
    return "".join(f"{line}\n" for line in lines)


def affinity_chains(size: int, seconds: int, layout: Layout) -> dict[str, list[str]]:
    """Choose, remember (or refresh), look up, go; and once more for a client whose endpoint has gone.

    A dispatch that misses at its end met a commit between two lookups: dropped, so that the retransmission is
    dispatched anew. Let through, the packet would leave a connection that no chain ever sees again.
    """
    client = f"meta priority & 0:ffff . {layout.nft_family} saddr"
    choose = [
        f"meta priority set meta priority & 0:ffff . numgen random mod {size} map @pick",
        f"jump {remember_chain(size, seconds)}",
        f"meta priority set {client} map @aff",  # a miss = aff is full: served, without stickiness
    ]
    return {
        remember_chain(size, seconds): _client_rule(
            layout, f"update @aff {{ {client} timeout {seconds}s : meta priority }}"
        ),
        affinity_chain(size, seconds): [*choose, "jump slot", "jump forget", *choose, "jump slot", "drop"],
    }


def _client_rule(layout: Layout, rule: str) -> list[str]:
    """The rule, unless its key is too long for nft: then the chain is filled over netlink."""
    return [rule] if layout.family == "IPv4" else []


def _set_blocks(layout: Layout, node: NodeConfig) -> list[str]:
    ip = layout.nft_family
    blocks = [_set(name, spec, layout) for name, spec in SETS.items()]
    affinity = [f"typeof meta priority . {ip} saddr : meta priority", f"size {AFFINITY_SIZE}", "flags dynamic,timeout"]
    blocks.append(_block("map aff", affinity))
    addresses = f"type {layout.address_type}"
    nets = {"podnets": node.pod_cidrs, "svcnets": node.service_cidrs, "nodenets": node.node_port_cidrs}
    for name, cidrs in nets.items():
        if cidrs or name != "nodenets":
            kind = [addresses, "flags interval", "auto-merge"]
            blocks.append(_block(f"set {name}", [*kind, *_elements(layout, cidrs)]))
    blocks.append(_block("set nodeips", [addresses, *_elements(layout, node.node_ips)]))
    return blocks


def _set(name: str, spec: SetSpec, layout: Layout) -> str:
    if spec.typeof:
        kind = "typeof " + spec.typeof.format(ip=layout.nft_family)
    else:
        key, data = (" . ".join(NFT_TYPES[f] for f in fields) for fields in (spec.key, spec.data))
        kind = f"type {key}{' : ' + data if data else ''}".format(addr=layout.address_type)
    return _block(f"{'map' if spec.data else 'set'} {name}", [kind, *([spec.extra] if spec.extra else [])])


def _elements(layout: Layout, values: Iterable[str]) -> list[str]:
    ours = select_ranges(values, layout.family)
    return [f"elements = {{ {', '.join(ours)} }}"] if ours else []


def _chain_blocks(layout: Layout, node: NodeConfig) -> list[str]:
    ip = layout.nft_family
    frontend, port = f"{ip} daddr . meta l4proto . th dport", "meta l4proto . th dport"
    go = "meta priority & ffff:0 vmap @kinds"
    mark = f"meta mark set meta mark | {node.masquerade_mark:#x}"
    transports = "meta l4proto { tcp, udp, sctp }"
    outsiders = [mark] if node.masquerade_all else [f"{rule} {mark}" for rule in _pods(layout, node, negated=True)]
    chains = {
        "dispatch": [
            f"meta priority set {frontend} map @cip goto cluster",
            f"{frontend} @lbguard {frontend} . {ip} saddr != @lbsrc drop",
            f"meta priority set {frontend} map @extl goto extlocal",
            f"meta priority set {frontend} map @ext goto external",
            f"{_node_addresses(layout, node)} goto nodeport",
            f"{ip} daddr @vips goto refuse",
            f"{ip} daddr @svcnets drop",
        ],
        "cluster": [*outsiders, go, "drop"],
        "external": [mark, go, "drop"],
        "extlocal": _short_circuit(layout, node, frontend, "ext"),
        "nodeport": [
            f"meta priority set {port} map @npl goto nplocal",
            f"meta priority set {port} map @np goto external",
        ],
        "nplocal": _short_circuit(layout, node, port, "np"),
        "refuse": ["meta l4proto tcp reject with tcp reset", "reject"],
        "gone": ["drop"],
        "forget": _client_rule(layout, f"delete @aff {{ meta priority & 0:ffff . {ip} saddr : meta priority }}"),
        "slot": [f"{transports} dnat {ip} to meta priority map @slots"],
    }
    for size in (*range(1, EXACT + 1), *LADDER):
        chains[f"n{size}"] = [f"{transports} dnat {ip} to meta priority . numgen random mod {size} map @eps", "drop"]
    chains["post"] = [
        "ct status dnat meta priority set 0",
        f"ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin masquerade fully-random",
        f"meta mark & {node.masquerade_mark:#x} == 0 return",
        f"meta mark set meta mark & {0xFFFFFFFF ^ node.masquerade_mark:#x}",
        "masquerade fully-random",
    ]
    hooks = {"prerouting": ("dstnat", "dispatch"), "output": ("-100", "dispatch"), "postrouting": ("srcnat", "post")}
    blocks = [_chain(name, rules) for name, rules in chains.items()]
    return blocks + [
        _chain(name, [f"type nat hook {name} priority {priority}; policy accept;", f"goto {target}"])
        for name, (priority, target) in hooks.items()
    ]


def _short_circuit(layout: Layout, node: NodeConfig, key: str, name: str) -> list[str]:
    """Policy Local: pods and the node itself take the cluster list, outsiders the local one, unmasqueraded."""
    go = "meta priority & ffff:0 vmap @kinds"
    pods = [f"{rule} meta priority set {key} map @{name} {go}" for rule in _pods(layout, node, negated=False)]
    own = f"fib saddr type local meta priority set {key} map @{name} goto external"
    return [*pods, own, go, "drop"]


def _pods(layout: Layout, node: NodeConfig, *, negated: bool) -> list[str]:
    """The match for what comes from a pod (or does not); none where that cannot be told. The node's own packets come
    from no interface, so by interface they are no pod's.
    """
    if not node.detects_pods(layout.family):
        return []
    unlike = "!= " if negated else ""
    if node.pod_bridge:
        return [f'iifname {unlike}"{node.pod_bridge}"']
    if node.pod_interface_prefix:
        return [f'iifname {unlike}"{node.pod_interface_prefix}*"']
    return [f"{layout.nft_family} saddr {unlike}@podnets"]


def _node_addresses(layout: Layout, node: NodeConfig) -> str:
    """The match for addresses that serve node ports."""
    ip = layout.nft_family
    if node.node_ports_on_node_ips_only:
        return f"{ip} daddr @nodeips"
    loopback = "127.0.0.0/8" if ip == "ip" else "::1"
    within = f" {ip} daddr @nodenets" if select_ranges(node.node_port_cidrs, layout.family) else ""
    return f"fib daddr type local {ip} daddr != {loopback}{within}"


def _chain(name: str, rules: Iterable[str]) -> str:
    return _block(f"chain {name}", rules)


def _block(head: str, lines: Iterable[str]) -> str:
    return f"    {head} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }"
