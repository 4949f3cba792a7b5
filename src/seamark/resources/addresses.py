"""Checks of IP addresses and CIDRs in fields, in Kubernetes' words.

The fields checked here are older than strict parsing: an address need not be canonical (a warning says so), and a
value the stored object already has is never refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from seamark.resources import field
from seamark.resources.registry import Causes

_LEADING_ZERO = re.compile(r"(^|\.)0+[0-9]")


def parse_ip(value: str) -> IPv4Address | IPv6Address | None:
    """An address, also with leading zeros in its octets (read as decimal, as older Kubernetes did)."""
    if "%" in value:
        return None  # a zone is no part of an address here
    try:
        return ip_address(value)
    except ValueError:
        pass
    try:
        return (
            IPv4Address(".".join(str(int(part)) for part in value.split("."))) if _LEADING_ZERO.search(value) else None
        )
    except ValueError:
        return None


def family_of(value: str) -> str:
    """``IPv4``, ``IPv6``, or nothing for what is no address."""
    found = parse_ip(value)
    if found is None:
        return ""
    return f"IPv{found.version}"


def validate_ip(path: str, value: str, *, known: Sequence[str] = ()) -> Causes:
    """``known`` are the values of the stored object."""
    if value in known:
        return []
    found = parse_ip(value)
    if found is None:
        return [field.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def validate_strict_ip(value: str) -> list[str]:
    """What is wrong with an address that has to be written in its one canonical form."""
    found = parse_ip(value)
    if found is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return ["must not be an IPv4-mapped IPv6 address"]
    if _LEADING_ZERO.search(value) and isinstance(found, IPv4Address):
        return ["must not have leading 0s"]
    return [] if str(found) == value else [f'must be in canonical form ("{found}")']


def validate_endpoint_ip(path: str, value: str) -> Causes:
    """An address traffic may be sent to: none of the special ones."""
    found = parse_ip(value)
    if found is None:
        return [field.invalid(path, value, "must be a valid IP address")]
    special = (
        (found.is_unspecified, f"may not be unspecified ({value})"),
        (found.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (found.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (_is_link_local_multicast(found), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    )
    return [field.invalid(path, value, detail) for is_special, detail in special if is_special]


def _is_link_local_multicast(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address in ip_network("224.0.0.0/24")
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2


def validate_cidr(path: str, value: str) -> Causes:
    """Host bits may be set; the prefix length must be there."""
    address, slash, length = value.partition("/")
    found = parse_ip(address)
    if not slash or found is None or not length.isdigit() or int(length) > found.max_prefixlen:
        return [field.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return []


def validate_strict_cidr(path: str, value: str) -> Causes:
    """A network in its one canonical form, without host bits."""
    causes = validate_cidr(path, value)
    if causes:
        return causes
    address, _, length = value.partition("/")
    found = parse_ip(address)
    if (_LEADING_ZERO.search(address) and isinstance(found, IPv4Address)) or (len(length) > 1 and length[0] == "0"):
        return [field.invalid(path, value, "must not have leading 0s in IP or prefix length")]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return [field.invalid(path, value, "must not have an IPv4-mapped IPv6 address")]
    network = ip_network(value, strict=False)
    if network.network_address != found:
        return [field.invalid(path, value, "must not have bits set beyond the prefix length")]
    return [] if str(network) == value else [field.invalid(path, value, f'must be in canonical form ("{network}")')]


def ip_warnings(path: str, value: str) -> list[str]:
    found = parse_ip(value)
    if found is None:
        return []
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return [f'{path}: non-standard IP address "{value}" is invalid: use "{found.ipv4_mapped}"']
    if _LEADING_ZERO.search(value) and isinstance(found, IPv4Address):
        return [f'{path}: non-standard IP address "{value}" is invalid: use "{found}"']
    if isinstance(found, IPv6Address) and str(found) != value:
        return [f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{found}")']
    return []
