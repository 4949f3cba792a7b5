"""IP addresses in text form: of which family one is, without making an object of each."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Literal

Family = Literal["IPv4", "IPv6"]

MANY_ADDRESSES = 1 << 12
"""How many addresses are remembered as read: the same ones come again and again within a Service."""

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}")


def family_of(ip: str) -> Family | None:
    """The family of an address in text form; None for text that is none (zones such as ``%eth0`` included)."""
    return "IPv4" if _IPV4.fullmatch(ip) else _family_of_other(ip)


@lru_cache(maxsize=MANY_ADDRESSES)
def _family_of_other(ip: str) -> Family | None:
    try:
        return "IPv6" if ":" in ip and "%" not in ip and IPv6Address(ip) else None
    except ValueError:
        return None
