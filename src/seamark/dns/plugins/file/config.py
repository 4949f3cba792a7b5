"""``file DBFILE [ZONES...] { reload DURATION; reload_by_mtime; fallthrough [ZONES...] }``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

MANY = True
RELOAD = 60.0


@dataclass(frozen=True, slots=True)
class Config:
    """``reload`` in seconds, 0 = the file is read once. ``by_mtime``: a newer file counts whatever its serial."""

    zones: tuple[str, ...]
    path: Token
    reload: float = RELOAD
    by_mtime: bool = False
    fallthrough: tuple[str, ...] | None = None


def parse(block: Block) -> Config:
    path, *zones = block.some("a zone file and zones")
    found: dict[str, Any] = {}

    def by_mtime(line: Line) -> None:
        line.none()
        found["by_mtime"] = True

    block.read(
        {
            "reload": lambda line: found.update(reload=duration(line.one("a duration"))),
            "reload_by_mtime": by_mtime,
            "fallthrough": lambda line: found.update(fallthrough=parse_zones(line.args, (".",))),
        },
        {"upstream": "aliases are always followed", "transfer": "CoreDNS moved it into the plugin transfer"},
    )
    return Config(parse_zones(tuple(zones), block.zones), path, **found)
