"""``metadata [ZONES...]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block
from seamark.dns.corefile.keys import parse_zones


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]


def parse(block: Block) -> Config:
    block.no_lines()
    return Config(parse_zones(block.args, block.zones))
