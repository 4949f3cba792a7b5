"""The network of an isolated cluster: a namespace per node, joined by a bridge in a namespace of its own.

Nothing of the machine's own network is touched: bridge, links, routes and settings all lie in namespaces pinned
below the data directory, so removing the pins removes everything. The gateway of the nodes is the bridge; it knows
no way out and says so at once (ICMP network unreachable) instead of letting callers wait.
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seamark.linux import netns

BRIDGE = "seamark0"
FABRIC = "fabric"


@dataclass(frozen=True, slots=True)
class FabricNode:
    """A node on the bridge: ``address`` without mask, ``pod_cidr`` the range its pods have."""

    name: str
    address: str
    pod_cidr: str


def build_fabric(directory: Path, nodes: Sequence[FabricNode], *, cidr: str) -> bool:
    """Makes the namespaces and links, or adopts those that are there. True = made anew.

    Raises OSError or CommandError; what was made until then is removed again.
    """
    pins = [directory / FABRIC, *(directory / n.name for n in nodes)]
    if all(netns.exists(pin) for pin in pins):
        return False
    remove_fabric(directory)
    try:
        for pin in pins:
            netns.create(pin)
        _build(directory, nodes, ipaddress.IPv4Network(cidr))
    except BaseException:
        remove_fabric(directory)
        raise
    return True


def remove_fabric(directory: Path) -> None:
    """Unpins every namespace of the directory; the kernel removes what was in them."""
    if directory.is_dir():
        for pin in directory.iterdir():
            netns.remove(pin)


class CommandError(Exception):
    """A command of the set-up failed; says which and what it printed."""


def _build(directory: Path, nodes: Sequence[FabricNode], network: ipaddress.IPv4Network) -> None:
    address = network[1]
    fabric = directory / FABRIC
    _ip(
        fabric,
        [
            f"link add {BRIDGE} type bridge",
            f"addr add {address}/{network.prefixlen} dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ],
    )
    netns.run_in(fabric, _router_sysctls)
    for node in nodes:
        _join(directory, node, network)
    # so that its refusals reach pods as well
    _ip(fabric, [f"route add {n.pod_cidr} via {n.address} dev {BRIDGE}" for n in nodes])
    for node in nodes:
        routes = [f"route add {n.pod_cidr} via {n.address} dev eth0" for n in nodes if n.name != node.name]
        nobody = f"route add unreachable {node.pod_cidr}"  # an address that no pod has: said at once, sent nowhere
        _ip(directory / node.name, [f"route add default via {address} dev eth0", nobody, *routes])


def _join(directory: Path, node: FabricNode, network: ipaddress.IPv4Network) -> None:
    """A veth from the node to the bridge. Both ends are made inside: the machine's own namespace never sees them."""
    inside = directory / node.name
    port = f"p-{node.name}"[:15]
    with (directory / FABRIC).open("rb") as fabric:
        argv = netns.command(inside, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", port)
        argv += ("netns", f"/proc/self/fd/{fabric.fileno()}")
        _run(argv, pass_fd=fabric.fileno())
    _ip(inside, [f"addr add {node.address}/{network.prefixlen} dev eth0", "link set eth0 up"])
    _ip(directory / FABRIC, [f"link set {port} master {BRIDGE}", f"link set {port} up"])
    netns.run_in(inside, _node_sysctls)


def _router_sysctls() -> None:
    _sysctl("net.ipv4.ip_forward", "1")
    # Every refusal is told: the kernel's default of one a second leaves the second caller waiting for a time-out.
    _sysctl("net.ipv4.icmp_ratelimit", "0")


def _node_sysctls() -> None:
    _router_sysctls()
    # A reply may leave by another link than the request came by (pod -> node port -> other node): loose at most.
    for scope in ("all", "default", "eth0"):
        _sysctl(f"net.ipv4.conf.{scope}.rp_filter", "0")


def _sysctl(name: str, value: str) -> None:
    Path("/proc/sys", *name.split(".")).write_text(value)


def _ip(pin: Path, lines: Sequence[str]) -> None:
    _run(netns.command(pin, "ip", "-batch", "-"), text="\n".join(lines) + "\n")


def _run(argv: Sequence[str], *, text: str = "", pass_fd: int | None = None) -> None:
    fds = () if pass_fd is None else (pass_fd,)
    done = subprocess.run(argv, input=text, text=True, capture_output=True, pass_fds=fds, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit {done.returncode}'} {text.strip()}")


def gateway(cidr: str) -> str:
    """The bridge's own address, the nodes' default gateway."""
    return str(ipaddress.IPv4Network(cidr)[1])


def machine_address() -> str:
    """The machine's own IPv4 address, the one from which it would send to the outside.

    A UDP connect sends nothing. Raises OSError on a machine without such a route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
