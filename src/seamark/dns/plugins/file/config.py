"""``file DBFILE [ZONES...] { reload DURATION; fallthrough [ZONES...] }``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.dns.corefile.block import Block, duration
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

MANY = True
RELOAD = 60.0


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    path: Token
    reload: float = RELOAD
    fallthrough: tuple[str, ...] | None = None


def parse(block: Block) -> Config:
    path, *zones = block.some("a zone file and zones")
    found: dict[str, Any] = {}
    block.read(
        {
            "reload": lambda line: found.update(reload=duration(line.one("a duration"))),
            "fallthrough": lambda line: found.update(fallthrough=parse_zones(line.args, (".",))),
        },
        {"upstream": "aliases are always followed", "transfer": "CoreDNS moved it into the plugin transfer"},
    )
    return Config(parse_zones(tuple(zones), block.zones), path, **found)
