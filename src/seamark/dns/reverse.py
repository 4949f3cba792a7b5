"""Reverse names -> addresses (RFC 1035 section 3.5, RFC 3596 section 2.5). Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

V4, V6 = ".in-addr.arpa.", ".ip6.arpa."


def address_of(name: str) -> str | None:
    """The canonical address a complete reverse name (lower-case) stands for; None for any other name."""
    try:
        if name.endswith(V4):
            return str(IPv4Address(".".join(reversed(name.removesuffix(V4).split(".")))))
        if name.endswith(V6):
            nibbles = name.removesuffix(V6).split(".")
            if len(nibbles) != 32 or any(len(nibble) != 1 for nibble in nibbles):
                return None
            return str(IPv6Address(int("".join(reversed(nibbles)), 16)))
    except ValueError:
        return None
    return None


def is_reverse_name(name: str) -> bool:
    return name.endswith((V4, V6))
