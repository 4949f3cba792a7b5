"""``multisocket [NUM_SOCKETS]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, integer

MOST = 1024


@dataclass(frozen=True, slots=True)
class Config:
    """``sockets`` 0 = as many as the process has processors."""

    sockets: int = 0


def parse(block: Block) -> Config:
    block.no_lines()
    word = block.optional("how many sockets")
    return Config(integer(word, least=1, most=MOST)) if word is not None else Config()
