"""Addresses that a node answers DNS at itself: local routes that make them its own, and rules that keep them
untranslated.

A packet to one of them is not tracked (``notrack``), and what is not tracked no proxy translates: neither ours nor
kube-proxy, whose rules for the cluster DNS stay as they are and see nothing of it. Routes have a protocol number of
their own and the table a name, so that taking it down removes exactly this; both stay when the process is killed, and
the next start finds them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from seamark.linux.links import list_local_routes, put_local_routes
from seamark.linux.nft import apply_nft

ROUTE_PROTOCOL = "95"
TABLE = "seamark-nodelocal"


def render_rules(addresses: Sequence[str]) -> str:
    """One table: questions to these addresses, from pods and from the node itself, and their answers."""
    lines = [f"table inet {TABLE} {{}}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for hook in ("prerouting", "output"):
        lines += [f"  chain {hook} {{", f"    type filter hook {hook} priority raw; policy accept;"]
        for family, version in (("ip", 4), ("ip6", 6)):
            chosen = ", ".join(text for text in addresses if ip_address(text).version == version)
            if not chosen:
                continue
            lines.append(f"    {family} daddr {{ {chosen} }} meta l4proto {{ tcp, udp }} th dport 53 notrack")
            if hook == "output":
                lines.append(f"    {family} saddr {{ {chosen} }} meta l4proto {{ tcp, udp }} th sport 53 notrack")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


async def apply_node_local(addresses: Sequence[str], namespace: Path | None = None) -> None:
    """Rules first: no packet is to be translated that the node would already have taken. Raises LinkError, NftError."""
    await apply_nft(render_rules(addresses), namespace)
    await put_local_routes(namespace, add=addresses, protocol=ROUTE_PROTOCOL)


async def remove_node_local(namespace: Path | None = None) -> None:
    """Questions go to the cluster's DNS again. Raises LinkError, NftError."""
    for ipv6 in (False, True):
        there = await list_local_routes(namespace, ipv6=ipv6, protocol=ROUTE_PROTOCOL)
        await put_local_routes(namespace, delete=there, protocol=ROUTE_PROTOCOL)
    await apply_nft(f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\n", namespace)
