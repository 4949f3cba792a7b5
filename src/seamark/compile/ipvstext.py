"""The nft table beside IPVS: its sets and chains, elements that differ as text, and the product as people read it.

It decides before IPVS does (which works in the input and output hooks): who is refused or dropped, who is masqueraded,
and which list a marked packet gets. Only new connections are judged; marks are set on every packet, because IPVS may
forget a UDP flow before connection tracking does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamark.compile.ipvs import Element, IpvsProduct, VirtualServer
from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig, select_ranges

TABLE = "seamark-ipvs"
LINK = "kube-ipvs0"

FRONTEND = "{addr} . inet_proto . inet_service"
SETS: Mapping[str, str] = {
    "balanced": FRONTEND,  # IPVS has a virtual server for it
    "cip": FRONTEND,  # a ClusterIP: outsiders are masqueraded
    "ext": FRONTEND,  # from outside with policy Cluster: everybody is
    "inside": FRONTEND,  # policy Local and none here: for pods and the node alone
    "refused": FRONTEND,
    "dropped": FRONTEND,
    "pods": f"{FRONTEND} : mark",  # policy Local: the mark of the cluster list, for pods ...
    "own": f"{FRONTEND} : mark",  # ... and for the node itself
    "lbguard": FRONTEND,
    "lbsrc": f"{FRONTEND} . {{addr}}",
    "vips": "{addr}",  # addresses of the dummy link: their unused ports refuse
    "hairpin": "{addr} . {addr} . inet_proto . inet_service",
}


def render_structure(layout: Layout, node: NodeConfig) -> str:
    """The table without Services, as a file for ``nft -f``; replaces what is there."""
    ip, table = layout.nft_family, f"{layout.nft_family} {layout.table}"
    blocks = [_set(name, layout) for name in SETS]
    for name, cidrs in (("podnets", node.pod_cidrs), ("svcnets", node.service_cidrs)):
        ours = select_ranges(cidrs, layout.family)
        elements = [f"elements = {{ {', '.join(ours)} }}"] if ours else []
        blocks.append(_block(f"set {name}", [f"type {layout.address_type}", "flags interval", "auto-merge", *elements]))
    mark = f"{node.masquerade_mark:#x}"
    chains = {
        "services": _services(layout, node),
        "refuse": ["meta l4proto tcp reject with tcp reset", "reject"],
        "post": [
            f"{ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin masquerade fully-random",
            f"meta mark & {mark} == 0 return",
            f"meta mark set meta mark & {0xFFFFFFFF ^ node.masquerade_mark:#x}",
            "masquerade fully-random",
        ],
        "prerouting": ["type filter hook prerouting priority -110; policy accept;", "goto services"],
        "output": ["type filter hook output priority -110; policy accept;", "goto services"],
        "postrouting": ["type nat hook postrouting priority srcnat; policy accept;", "goto post"],
    }
    blocks += [_block(f"chain {name}", rules) for name, rules in chains.items()]
    return f"add table {table}\ndelete table {table}\ntable {table} {{\n" + "\n".join(blocks) + "\n}\n"


def _services(layout: Layout, node: NodeConfig) -> list[str]:
    ip = layout.nft_family
    frontend = f"{ip} daddr . meta l4proto . th dport"
    masquerade = f"meta mark set meta mark | {node.masquerade_mark:#x}"
    pod, outsider = _pods(layout, node, unlike=""), _pods(layout, node, unlike="!= ")
    marked = [f"{pod} meta mark set {frontend} map @pods return"] if pod else []
    outsiders = [masquerade] if node.masquerade_all else [f"{outsider} {masquerade}"] if outsider else []
    return [
        f"ct state new {frontend} @lbguard {frontend} . {ip} saddr != @lbsrc drop",
        f"fib saddr type local meta mark set {frontend} map @own return",
        *marked,
        "ct state != new return",
        f"{frontend} @refused goto refuse",
        f"fib saddr type != local {outsider + ' ' if outsider else ''}{frontend} @inside drop",
        f"{frontend} @dropped drop",
        f"{frontend} @ext {masquerade}",
        *(f"{frontend} @cip {rule}" for rule in outsiders),
        f"fib saddr type local {frontend} @balanced {masquerade}",
        f"{frontend} @balanced return",
        f"{ip} daddr @vips goto refuse",
        f"{ip} daddr @svcnets drop",
    ]


def _pods(layout: Layout, node: NodeConfig, *, unlike: str) -> str:
    """The match for what comes from a pod (or does not); empty where that cannot be told."""
    if not node.detects_pods(layout.family):
        return ""
    if node.pod_bridge:
        return f'iifname {unlike}"{node.pod_bridge}"'
    if node.pod_interface_prefix:
        return f'iifname {unlike}"{node.pod_interface_prefix}*"'
    return f"{layout.nft_family} saddr {unlike}@podnets"


def _set(name: str, layout: Layout) -> str:
    kind = f"type {SETS[name].format(addr=layout.address_type)}"
    flags = ["flags interval"] if name == "lbsrc" else []
    return _block(f"{'map' if ' : ' in kind else 'set'} {name}", [kind, *flags])


def render_elements(layout: Layout, old: Iterable[Element], new: Iterable[Element]) -> str:
    """The elements that differ, as one file for ``nft -f``; empty where none do."""
    old, new = set(old), set(new)
    lines = []
    for verb, elements in (("delete", old - new), ("add", new - old)):
        for name in SETS:
            # a mapping is deleted by its key alone
            texts = sorted(text.partition(" : ")[0] if verb == "delete" else text for n, text in elements if n == name)
            if texts:
                table = f"{layout.nft_family} {layout.table}"
                lines.append(f"{verb} element {table} {name} {{ {', '.join(texts)} }}\n")
    return "".join(lines)


def render_servers(product: IpvsProduct, scheduler: str) -> str:
    """The virtual servers as ``ipvsadm-save -n`` prints them; for goldens and people."""
    lines = [f"# on {LINK}: {ip}\n" for ip in sorted(product.addresses)]
    for server, reals in sorted(product.servers.items()):
        persistent = f" -p {reals.seconds}" if reals.seconds else ""
        lines.append(f"-A {_option(server)} -s {scheduler}{persistent}\n")
        lines += [f"-a {_option(server)} -r {_join(*place)} -m -w 1\n" for place in sorted(reals.endpoints)]
    return "".join(lines)


def _option(server: VirtualServer) -> str:
    if server.mark:
        return f"-f {server.mark:#x}"
    return f"--{server.protocol.lower()}-service {_join(server.ip, server.port)}"


def _join(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _block(head: str, lines: Iterable[str]) -> str:
    return f"    {head} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }"
