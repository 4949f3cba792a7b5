"""``k8s_external [ZONE...] { apex APEX; ttl TTL; headless; fallthrough [ZONES...] }``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    token: Token
    apex: str = "dns"
    ttl: int = 5
    headless: bool = False
    fallthrough: tuple[str, ...] | None = None


def parse(block: Block) -> Config:
    found: dict[str, Any] = {}

    def read_headless(line: Line) -> None:
        line.none()
        found["headless"] = True

    readers: dict[str, Callable[[Line], None]] = {
        "apex": lambda line: found.update(apex=line.one("a label").text.lower()),
        "ttl": lambda line: found.update(ttl=integer(line.one("seconds"), least=0, most=3600)),
        "headless": read_headless,
        "fallthrough": lambda line: found.update(fallthrough=parse_zones(line.args, (".",))),
    }
    block.read(readers)
    return Config(parse_zones(block.args, block.zones), block.name, **found)
