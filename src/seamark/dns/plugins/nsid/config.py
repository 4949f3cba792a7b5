"""``nsid [DATA...]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    """``data`` empty = the host name."""

    data: str = ""


def parse(block: Block) -> Config:
    block.no_lines()
    return Config(" ".join(token.text for token in block.args))
