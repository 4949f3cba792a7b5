"""``dns64 [PREFIX] { prefix PREFIX; translate_all; allow_ipv4 }``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Network

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.lexer import Token

LENGTHS = (32, 40, 48, 56, 64, 96)
"""Lengths a prefix may have (RFC 6052 §2.2)."""
WELL_KNOWN = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Config:
    prefix: IPv6Network = WELL_KNOWN
    translate_all: bool = False
    allow_ipv4: bool = False


def parse(block: Block) -> Config:
    given = block.optional("prefix")
    found = Config() if given is None else Config(_prefix(given))

    def prefix(line: Line) -> None:
        nonlocal found
        found = replace(found, prefix=_prefix(line.one("prefix")))

    def translate_all(line: Line) -> None:
        nonlocal found
        line.none()
        found = replace(found, translate_all=True)

    def allow_ipv4(line: Line) -> None:
        nonlocal found
        line.none()
        found = replace(found, allow_ipv4=True)

    block.read({"prefix": prefix, "translate_all": translate_all, "allow_ipv4": allow_ipv4})
    return found


def _prefix(token: Token) -> IPv6Network:
    try:
        network = IPv6Network(token.text, strict=False)
    except ValueError:
        raise token.error(f"'{token.text}' is not an IPv6 prefix such as 64:ff9b::/96") from None
    if network.prefixlen not in LENGTHS:
        lengths = ", ".join(map(str, LENGTHS))
        raise token.error(
            f"'{token.text}': a prefix of dns64 is {lengths} bits long (RFC 6052), not {network.prefixlen}"
        )
    return network
