"""``shed``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block
from seamark.dns.corefile.lexer import Token


@dataclass(frozen=True, slots=True)
class Config:
    token: Token


def parse(block: Block) -> Config:
    block.none()
    block.no_lines()
    return Config(block.name)
