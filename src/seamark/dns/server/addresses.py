"""The machine's own addresses, from /proc: no netlink is needed for a list that is read once per start."""

from __future__ import annotations

import array
import fcntl
import re
import socket
import struct
from ipaddress import IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc/net")
SIOCGIFCONF = 0x8912
IFCONF = struct.Struct("i4xP")
IFREQ = struct.Struct("16s4x4s16x")  # of a 64-bit machine: the label, the address behind family and port
MANY = 4096
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


def own_addresses(proc: Path = PROC, *, link_local: bool = False) -> tuple[str, ...]:
    """Loopback addresses left out, link-local ones unless wanted; what cannot be read is none."""
    found = [*_LOCAL.findall(_read(proc / "fib_trie")), *_v6(_read(proc / "if_inet6"))]
    kept = [text for text in found if not ip_address(text).is_loopback]
    kept = [text for text in kept if link_local or not ip_address(text).is_link_local]
    return tuple(dict.fromkeys(kept))


def interface_addresses(name: str, proc: Path = PROC) -> tuple[str, ...]:
    """All addresses of an interface, IPv4 first; none for one that is not there."""
    lines = [line for line in _read(proc / "if_inet6").splitlines() if line.split()[5:6] == [name]]
    return (*(address for label, address in _v4_by_label() if label == name), *_v6("\n".join(lines)))


def _v4_by_label() -> list[tuple[str, str]]:
    """netdevice(7), SIOCGIFCONF: an entry for each IPv4 address, by label: the interface's name, perhaps ``:word``."""
    entries = array.array("B", bytes(IFREQ.size * MANY))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking.fileno(), SIOCGIFCONF, IFCONF.pack(len(entries), entries.buffer_info()[0]))
    filled, _ = IFCONF.unpack(answer)
    found = IFREQ.iter_unpack(entries.tobytes()[:filled])
    return [(label.partition(b"\0")[0].decode().partition(":")[0], socket.inet_ntoa(ip)) for label, ip in found]


def _v6(text: str) -> list[str]:
    return [str(IPv6Address(int(line.split()[0], 16))) for line in text.splitlines() if line.strip()]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
