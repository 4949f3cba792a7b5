"""``root PATH``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    path: str


def parse(block: Block) -> Config:
    token = block.one("a directory")
    block.no_lines()
    return Config(token.text)
