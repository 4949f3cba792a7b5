"""``cancel [TIMEOUT]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, duration

DEFAULT = 5.001


@dataclass(frozen=True, slots=True)
class Config:
    timeout: float = DEFAULT


def parse(block: Block) -> Config:
    token = block.optional("a duration")
    block.no_lines()
    return Config(duration(token, least=1e-9) if token else DEFAULT)
