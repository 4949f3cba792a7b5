"""``chaos [VERSION] [AUTHORS...]``."""

from __future__ import annotations

from dataclasses import dataclass

import seamark
from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    version: str
    authors: tuple[str, ...] = ()


def parse(block: Block) -> Config:
    block.no_lines()
    words = [token.text for token in block.args]
    return Config(words[0] if words else f"Seamark-{seamark.__version__}", tuple(words[1:]))
