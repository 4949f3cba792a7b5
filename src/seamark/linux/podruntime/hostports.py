"""A pod's ports on the node's own addresses (``hostPort``): an nft table for each pod that has any.

Whoever reaches the node at such a port, from outside, from a pod or from the node itself, is led to the pod; the pod
sees the client's own address, but for clients that only this node could answer: those on its loopback, and the pod
itself. The table comes and goes with the pod's link, so nothing has to be kept or compared. Service rules come first.

A connection from 127.0.0.1 leaves the node's loopback by the pod's link, which the kernel allows where
``route_localnet`` is set; the table lets nothing that the pod sends use that opening. ``render_`` is pure.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path

from seamark.linux import netns
from seamark.linux.conntrack import Conntrack
from seamark.linux.nft import NftError, apply_nft
from seamark.linux.podruntime.network import in_node, link_name
from seamark.linux.runtime import HostPort, RuntimeFault

PROTOCOLS = ("TCP", "UDP", "SCTP")


def table_name(uid: str) -> str:
    return f"seamark-{link_name(uid)}"


def render_table(uid: str, ip: str, ports: Sequence[HostPort]) -> str:
    link, lines = link_name(uid), "\n".join(f"        {_render_port(port, ip)}" for port in ports)
    return f"""table ip {table_name(uid)} {{
    chain ports {{
{lines}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat + 5; policy accept;
        fib daddr type local goto ports
    }}
    chain output {{
        type nat hook output priority -95; policy accept;
        fib daddr type local goto ports
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat + 5; policy accept;
        ct status dnat ip daddr {ip} ip saddr {{ 127.0.0.0/8, {ip} }} masquerade fully-random
    }}
    chain guard {{
        type filter hook prerouting priority mangle; policy accept;
        iifname "{link}" ip saddr 127.0.0.0/8 drop
        iifname "{link}" ip daddr 127.0.0.0/8 drop
    }}
}}
"""


def _render_port(port: HostPort, ip: str) -> str:
    protocol = port.protocol
    if protocol not in PROTOCOLS or not all(0 < n < 65536 for n in (port.port, port.target)):
        raise RuntimeFault("FailedCreatePodSandBox", f"hostPort {port.port}/{protocol}: not a port")
    own = f"ip daddr {ipaddress.IPv4Address(port.ip)} " if port.ip else ""
    return f"{own}{protocol.lower()} dport {port.port} dnat to {ip}:{port.target}"


async def open_ports(uid: str, ip: str, ports: Sequence[HostPort], *, node: Path | None) -> None:
    """Once the pod's link is there. Raises RuntimeFault."""
    try:
        await apply_nft(render_table(uid, ip, ports), node)
        _let_loopback_out(link_name(uid), node)
        _forget_flows(ports, node)
    except (NftError, OSError) as error:
        raise RuntimeFault("FailedCreatePodSandBox", f"hostPort: {error}") from error


async def close_ports(uid: str, ports: Sequence[HostPort], *, node: Path | None) -> None:
    """None to close is no error. Raises NftError or OSError."""
    if node is not None and not netns.exists(node):
        return
    name = table_name(uid)
    await apply_nft(f"add table ip {name}\ndelete table ip {name}\n", node)
    _forget_flows(ports, node)


def _let_loopback_out(link: str, node: Path | None) -> None:
    setting = Path("/proc/sys/net/ipv4/conf", link, "route_localnet")
    in_node(node, lambda: setting.write_text("1"))


def _forget_flows(ports: Sequence[HostPort], node: Path | None) -> None:
    """UDP clients that have been going elsewhere would go there as long as they send."""
    wanted = {port.port for port in ports if port.protocol == "UDP"}
    if not wanted:
        return
    with Conntrack(node) as tracker:
        for number in wanted:
            for flow in tracker.udp_flows(socket.AF_INET, port=number):
                tracker.delete(socket.AF_INET, flow)
