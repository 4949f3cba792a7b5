"""The file of ``loadbalance weighted``, and whose turn it is to stand first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address
Weights = Mapping[str, Mapping[Address, int]]
"""By name (lower-case, absolute) and address."""
DEFAULT, MOST = 1, 255


def parse_weights(text: str, file: str) -> Weights:
    """Lines are names, and below each its addresses with their weights. Raises ValueError."""
    found: dict[str, dict[Address, int]] = {}
    name = ""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2:
            raise ValueError(f'could not parse weight line:"{line.strip()}" in weight file {file}')
        address = _address(words[0])
        if len(words) == 1:
            if address is not None:
                raise ValueError(
                    f'wrong domain name:"{words[0]}" in weight file {file}. (Maybe a missing weight value?)'
                )
            name = words[0].lower().rstrip(".") + "."
            found.setdefault(name, {})
            continue
        if address is None:
            raise ValueError(f'wrong IP address:"{words[0]}" in weight file {file}')
        if not (words[1].isdecimal() and DEFAULT <= int(words[1]) <= MOST):
            raise ValueError(f'wrong weight value:"{words[1]}" in weight file {file}')
        if not name:
            raise ValueError(f"missing domain name in weight file {file}")
        found[name].setdefault(address, int(words[1]))
    return found


def choose_first(weights: Weights, addresses: Sequence[tuple[str, str]], pick: Callable[[int], int]) -> int:
    """The place of the one to stand first, among names with their addresses; ``pick`` gives a number below another."""
    each = [weights.get(name, {}).get(ip_address(address), DEFAULT) for name, address in addresses]
    left = pick(sum(each))
    for place, weight in enumerate(each):
        left -= weight
        if left < 0:
            return place
    return 0


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
