"""A pod's link: a routed veth between its namespace and the node's, no bridge (DESIGN §4.7).

Pod side ``eth0`` with the address as /32 and a default route through a gateway that exists on no machine
(169.254.1.1), whose link address is written down as a permanent neighbour; node side a link named after the pod with
a /32 route and the pod's link address written down too. Nobody ever asks by ARP, so the first packet is as quick as
the second. The pure ``render_`` functions give input for ``ip -batch -``.

On a node that is the machine itself no setting outside our own link is touched.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from pathlib import Path

from seamark.linux import netns
from seamark.linux.process import Result, run
from seamark.linux.runtime import RuntimeFault

PREFIX = "sm"
GATEWAY = "169.254.1.1"
NODE_ADDRESS = "ee:ee:ee:ee:ee:ee"
POD_SYSCTLS = {
    # as containerd: programs that are not root may ping and listen below 1024, inside the pod's namespace only
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv4/ip_unprivileged_port_start": "0",
}


def link_name(uid: str) -> str:
    """``sm`` and ten hex digits of the uid's digest: within the kernel's 15 bytes whatever the uid is."""
    return PREFIX + hashlib.sha256(uid.encode()).hexdigest()[:10]


def link_address(ip: str) -> str:
    """The pod's link address, made of its IPv4 address: no two pods share one."""
    return "0a:58:" + ":".join(f"{octet:02x}" for octet in ipaddress.IPv4Address(ip).packed)


def parse_ip(ip: str) -> str:
    try:
        return str(ipaddress.IPv4Address(ip))
    except ValueError:
        raise RuntimeFault("FailedCreatePodSandBox", f"ip: {ip!r}: give an IPv4 address without a mask") from None


def render_node_commands(link: str, ip: str, pid: int) -> str:
    address = link_address(ip)
    return (
        f"link add dev {link} address {NODE_ADDRESS} type veth peer name eth0 address {address} netns {pid}\n"
        f"link set dev {link} up\n"
        f"route add {ip}/32 dev {link} scope link\n"
        f"neighbour replace {ip} lladdr {address} dev {link} nud permanent\n"
    )


def render_pod_commands(ip: str) -> str:
    return (
        "link set dev lo up\n"
        f"address add {ip}/32 dev eth0\n"
        "link set dev eth0 up\n"
        f"route add {GATEWAY} dev eth0 scope link\n"
        f"neighbour add {GATEWAY} lladdr {NODE_ADDRESS} dev eth0 nud permanent\n"
        f"route add default via {GATEWAY} dev eth0\n"
    )


async def attach(uid: str, ip: str, *, pid: int, node: Path | None) -> None:
    """Joins the namespace of ``pid`` to the node's. Raises RuntimeFault with what ``ip`` said."""
    link = link_name(uid)
    _check(await run(*_within(node), "ip", "-batch", "-", stdin=render_node_commands(link, ip, pid)), link)
    in_node(node, lambda: _prepare_node_side(link, own_namespace=node is not None))
    inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "--")
    _check(await run(*inside, "ip", "-batch", "-", stdin=render_pod_commands(ip)), "eth0")


async def detach(uid: str, *, node: Path | None) -> None:
    """Removes the link and with it its route and neighbour. None to remove is no error."""
    if node is not None and not netns.exists(node):
        return
    await run(*_within(node), "ip", "link", "delete", "dev", link_name(uid))


def _prepare_node_side(link: str, *, own_namespace: bool) -> None:
    settings = Path("/proc/sys/net")
    if own_namespace:
        (settings / "ipv4/ip_forward").write_text("1")
    (settings / "ipv4/conf" / link / "forwarding").write_text("1")
    no_link_local = settings / "ipv6/conf" / link / "disable_ipv6"
    if no_link_local.exists():
        no_link_local.write_text("1")


def in_node(node: Path | None, work: Callable[[], object]) -> None:
    if node is None:
        work()
    else:
        netns.run_in(node, work)


def _within(node: Path | None) -> tuple[str, ...]:
    return netns.command(node) if node is not None else ()


def _check(result: Result, link: str) -> None:
    if result.code != 0:
        raise RuntimeFault("FailedCreatePodSandBox", f"link {link}: {result.stderr.strip()}")
