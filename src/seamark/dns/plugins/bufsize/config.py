"""``bufsize [SIZE]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, integer

DEFAULT, LEAST, MOST = 1232, 512, 4096


@dataclass(frozen=True, slots=True)
class Config:
    size: int = DEFAULT


def parse(block: Block) -> Config:
    token = block.optional("a size")
    block.no_lines()
    return Config(integer(token, least=LEAST, most=MOST) if token else DEFAULT)
