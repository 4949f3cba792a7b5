"""``autopath [ZONE...] @kubernetes|FILE``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token


@dataclass(frozen=True, slots=True)
class Config:
    """``file`` None = the plugin kubernetes knows."""

    zones: tuple[str, ...]
    token: Token
    file: str | None = None


def parse(block: Block) -> Config:
    block.no_lines()
    *zones, source = block.some("zones and @kubernetes or a file")
    if source.text.startswith("@") and source.text != "@kubernetes":
        raise source.error(f"'{source.text}' cannot tell a search list (known: @kubernetes)")
    file = None if source.text == "@kubernetes" else source.text
    return Config(parse_zones(tuple(zones), block.zones), source, file)
