"""``acl [ZONES...] { allow|block|filter|drop [type QTYPE...] [net SOURCE...] }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

import dns.exception
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

MANY = True
Network = IPv4Network | IPv6Network
ANYTHING = ("*", "ANY")


@dataclass(frozen=True, slots=True)
class Policy:
    """Empty ``types`` or ``networks`` = any."""

    action: str
    types: frozenset[int] = frozenset()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    policies: tuple[Policy, ...]


def parse(block: Block) -> Config:
    found: list[Policy] = []

    def read(line: Line) -> None:
        found.append(_policy(line))

    block.read(dict.fromkeys(("allow", "block", "filter", "drop"), read))
    return Config(parse_zones(block.args, block.zones), tuple(found))


def _policy(line: Line) -> Policy:
    """``type`` and ``net`` each start a list that runs to the next of them."""
    lists: dict[str, list[Token]] = {}
    current: list[Token] | None = None
    for word in line.args:
        if word.text.lower() in ("type", "net"):
            if word.text.lower() in lists:
                raise word.error(f"'{word.text}' is given a second time")
            current = lists[word.text.lower()] = []
        elif current is None:
            raise word.error(f"'type' or 'net' has to stand before '{word.text}'")
        else:
            current.append(word)
    for name, words in lists.items():
        if not words:
            raise line.name.error(f"'{line.name.text}': nothing follows '{name}'")
    types = [_type(word) for word in lists.get("type", ()) if word.text.upper() not in ANYTHING]
    networks = [_network(word) for word in lists.get("net", ()) if word.text != "*"]
    any_type = len(types) < len(lists.get("type", ()))
    any_net = len(networks) < len(lists.get("net", ()))
    return Policy(line.name.text, frozenset(() if any_type else types), tuple(() if any_net else networks))


def _type(word: Token) -> int:
    try:
        return int(dns.rdatatype.from_text(word.text))
    except dns.exception.DNSException:
        raise word.error(f"'{word.text}' is not a type such as A or TXT") from None


def _network(word: Token) -> Network:
    try:
        return ip_network(word.text, strict=False)
    except ValueError:
        raise word.error(f"'{word.text}' is neither an address nor a block of addresses") from None
