"""The machine's own addresses, from /proc: no netlink is needed for a list that is read once per start."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from ipaddress import IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc/net")
SIOCGIFADDR = 0x8915
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


def own_addresses(proc: Path = PROC, *, link_local: bool = False) -> tuple[str, ...]:
    """Loopback addresses left out, link-local ones unless wanted; what cannot be read is none."""
    found = [*_LOCAL.findall(_read(proc / "fib_trie")), *_v6(_read(proc / "if_inet6"))]
    kept = [text for text in found if not ip_address(text).is_loopback]
    kept = [text for text in kept if link_local or not ip_address(text).is_link_local]
    return tuple(dict.fromkeys(kept))


def interface_addresses(name: str, proc: Path = PROC) -> tuple[str, ...]:
    """The first IPv4 address of an interface and its IPv6 addresses; none for one that is not there."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            found.append(socket.inet_ntoa(answer[20:24]))
        except OSError:
            pass  # it has none
    lines = [line for line in _read(proc / "if_inet6").splitlines() if line.split()[5:6] == [name]]
    return tuple(found + _v6("\n".join(lines)))


def _v6(text: str) -> list[str]:
    return [str(IPv6Address(int(line.split()[0], 16))) for line in text.splitlines() if line.strip()]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
