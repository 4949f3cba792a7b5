"""``local { disable_localhost_prefix }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line


@dataclass(frozen=True, slots=True)
class Config:
    """``prefix``: whether ``localhost.`` in front of any domain counts."""

    prefix: bool = True


def parse(block: Block) -> Config:
    block.none()
    found: list[bool] = []

    def read(line: Line) -> None:
        line.none()
        found.append(True)

    block.read({"disable_localhost_prefix": read})
    return Config(not found)
